import { z } from 'zod'
import { type EventSchemas, field } from './events.ts'
import type { Event } from './payment.ts'

/** How payment events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositObserved: {
    version: 1,
    schema: z.object({
      payment: field.id,
      user: field.id,
      amount: field.money,
      chainId: field.count,
      transactionHash: field.id,
      blockNumber: field.integer,
      blockHash: field.id,
    }),
  },
  DepositFinalized: { version: 1, schema: z.object({ user: field.id, posting: field.posting }) },
  DepositVanished: { version: 1, schema: z.object({}) },
}
