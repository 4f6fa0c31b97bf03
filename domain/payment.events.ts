import { z } from 'zod'
import { type CommandFields, type EventSchemas, field } from './events.ts'
import { int64Max } from './limits.ts'
import type { Command, Event } from './payment.ts'

const user = field.wallet.describe('The user who paid.')
const blockNumber = field.integer.meta({
  unit: 'height of a block',
  description: 'The block of the transaction.',
  limit: { min: 0n, max: int64Max },
})
const blockHash = field.id.meta({
  unit: '32 bytes, 0x and hexadecimal',
  description: 'The hash of that block; it differs on another branch of the chain.',
  limit: field.onChain.meta()?.limit,
})

/** The fields of commands, whose limits count before a command is decided. */
export const commandFields: CommandFields<Command> = {
  payment: field.onChain,
  user,
  amount: field.money,
  chainId: field.chainId,
  transactionHash: field.onChain,
  blockNumber,
  blockHash,
}

/** How payment events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositObserved: {
    version: 1,
    schema: z
      .object({
        payment: field.onChain.describe(
          'The id that the contract gave the deposit; a reorganisation does not change it.',
        ),
        user,
        amount: field.money.describe('The deposited amount.'),
        chainId: field.chainId.describe('The chain of the deposit.'),
        transactionHash: field.onChain.describe('The transaction of the deposit.'),
        blockNumber,
        blockHash,
      })
      .describe(
        'A deposit was observed on the chain, in a block that may still be undone: it is shown, but cannot be spent.',
      ),
  },
  DepositFinalized: {
    version: 1,
    schema: z
      .object({
        user,
        posting: field.posting.describe('From the custody of the contract to the transit account of the deposit.'),
      })
      .describe('The block of a deposit became final: the deposit is money.'),
  },
  DepositVanished: {
    version: 1,
    schema: z
      .object({})
      .describe('The block of an observed deposit was undone, and no other block contains the deposit.'),
  },
}
