import { z } from 'zod'
import type { Event } from './account.ts'

import { type EventSchemas, field } from './events.ts'

/** How account events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  DepositCredited: { version: 1, schema: z.object({ user: field.id, payment: field.id, posting: field.posting }) },
  FundsHeld: { version: 1, schema: z.object({ user: field.id, rental: field.id, posting: field.posting }) },
  HoldRefused: {
    version: 1,
    schema: z.object({ user: field.id, rental: field.id, amount: field.money, code: field.code }),
  },
  HoldCaptured: { version: 1, schema: z.object({ rental: field.id, posting: field.posting }) },
  HoldReleased: { version: 1, schema: z.object({ rental: field.id, posting: field.posting }) },
  EarningsCredited: { version: 1, schema: z.object({ user: field.id, rental: field.id, posting: field.posting }) },
}
