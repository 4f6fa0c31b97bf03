import { z } from 'zod'
import type { Event } from './account.ts'

import { type EventSchemas, field } from './events.ts'

const user = field.wallet.describe('Whose account it is.')
const rental = field.id.describe('The rental that the money is for.')
const moved = (what: string) => field.posting.describe(what)

/** How account events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositCredited: {
    version: 1,
    schema: z
      .object({
        user,
        payment: field.onChain.describe('The deposit that it comes from.'),
        posting: moved("From the deposit's transit account to what the user can spend."),
      })
      .describe('A deposit that the chain will not undo has become money that its payer can spend.'),
  },
  FundsHeld: {
    version: 1,
    schema: z
      .object({ user, rental, posting: moved('From what the user can spend to what is held.') })
      .describe('The cost of the whole time of a rental was set aside.'),
  },
  HoldRefused: {
    version: 1,
    schema: z
      .object({
        user,
        rental,
        amount: field.money.describe('What should have been held.'),
        code: field.code.describe('Why it was not.'),
      })
      .describe('Money for a rental could not be set aside; nothing moved.'),
  },
  HoldCaptured: {
    version: 1,
    schema: z
      .object({ rental, posting: moved("From what is held to the rental's transit account.") })
      .describe('What a rental really cost was taken out of its hold.'),
  },
  HoldReleased: {
    version: 1,
    schema: z
      .object({ rental, posting: moved('From what is held back to what the user can spend.') })
      .describe('What was left of a hold came back to the renter.'),
  },
  EarningsCredited: {
    version: 1,
    schema: z
      .object({ user, rental, posting: moved("From the rental's transit account to what the provider can spend.") })
      .describe('A provider was paid for a rental.'),
  },
}
