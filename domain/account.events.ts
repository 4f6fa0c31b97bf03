import { z } from 'zod'
import type { Command, Event } from './account.ts'
import { type CommandFields, type EventSchemas, field } from './events.ts'

const user = field.wallet.describe('The owner of the account.')
const rental = field.id.describe('The rental that the money is for.')
const payment = field.onChain.describe('The deposit that the money comes from.')

/** The fields of commands, whose limits count before a command is decided. */
export const commandFields: CommandFields<Command> = {
  user,
  rental,
  payment,
  amount: field.money,
  charge: field.money,
  at: field.time,
  notAfter: field.time,
}

const posting = (description: string) => field.posting.describe(description)

/** How account events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositCredited: {
    version: 1,
    schema: z
      .object({
        user,
        payment,
        posting: posting('From the transit account of the deposit to the available money of the user.'),
      })
      .describe('A final deposit became money that its payer can spend.'),
  },
  FundsHeld: {
    version: 1,
    schema: z
      .object({ user, rental, posting: posting('From the available money of the user to the held money.') })
      .describe('The cost of the whole time of a rental was held.'),
  },
  HoldRefused: {
    version: 1,
    schema: z
      .object({
        user,
        rental,
        amount: field.money.describe('The amount that could not be held.'),
        code: field.code.describe('Why the hold was refused.'),
      })
      .describe('The money for a rental could not be held; no money moved.'),
  },
  HoldCaptured: {
    version: 1,
    schema: z
      .object({ rental, posting: posting('From the held money to the transit account of the rental.') })
      .describe('The cost of a rental was taken out of its hold.'),
  },
  HoldReleased: {
    version: 1,
    schema: z
      .object({ rental, posting: posting('From the held money back to the available money of the user.') })
      .describe('The rest of a hold was given back to the renter.'),
  },
  EarningsCredited: {
    version: 1,
    schema: z
      .object({
        user,
        rental,
        posting: posting('From the transit account of the rental to the available money of the provider.'),
      })
      .describe('A provider was paid for a rental.'),
  },
}
