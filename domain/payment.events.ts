import { z } from 'zod'
import { type EventSchemas, field } from './events.ts'
import type { Event } from './payment.ts'

const user = field.wallet.describe('Who paid.')

/** How payment events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositObserved: {
    version: 1,
    schema: z
      .object({
        payment: field.onChain.describe('The id that the contract gave the deposit; it survives reorganisations.'),
        user,
        amount: field.money.describe('What came in.'),
        chainId: field.count.meta({ unit: 'EIP-155 chain id', description: 'The chain that it was paid on.' }),
        transactionHash: field.onChain.describe('The transaction that paid it.'),
        blockNumber: field.integer.meta({ unit: 'height of a block', description: 'The block that it stands in.' }),
        blockHash: field.id.meta({
          unit: '32 bytes, 0x and hexadecimal',
          description: 'The identity of that block: on another branch it is another one.',
        }),
      })
      .describe('A deposit was seen on the chain, in a block that may still be undone: shown, but not spendable.'),
  },
  DepositFinalized: {
    version: 1,
    schema: z
      .object({
        user,
        posting: field.posting.describe("From the contract's custody to the deposit's transit account."),
      })
      .describe('The block of a deposit will not be undone any more: it is money.'),
  },
  DepositVanished: {
    version: 1,
    schema: z.object({}).describe('The block of an observed deposit was undone, and the deposit is in no other.'),
  },
}
