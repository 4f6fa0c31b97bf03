import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './rental.ts'

const reason = z.enum(['returned', 'expired'])

/** How rental events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  RentalRequested: {
    version: 1,
    schema: z.object({
      listing: field.id,
      renter: field.id,
      gpuCount: field.count,
      seconds: field.seconds,
      maxPricePerGpuHour: field.money,
      requestedAt: field.time,
    }),
  },
  RentalActivated: {
    version: 1,
    schema: z.object({
      provider: field.id,
      gpu: field.text,
      pricePerGpuHour: field.money,
      held: field.money,
      startedAt: field.time,
      endsAt: field.time,
    }),
  },
  RentalRejected: { version: 1, schema: z.object({ code: field.code, rejectedAt: field.time }) },
  UsageMetered: {
    version: 1,
    schema: z.object({ runSeconds: field.seconds, fee: field.money, total: field.money, meteredAt: field.time }),
  },
  RentalEnded: {
    version: 1,
    schema: z.object({ reason, runSeconds: field.seconds, charged: field.money, endedAt: field.time }),
  },
  InvoiceIssued: {
    version: 1,
    schema: z.object({
      lines: z.array(
        z
          .object({ eventId: field.id, description: field.text, seconds: field.seconds, amount: field.money })
          .readonly(),
      ),
      total: field.money,
      released: field.money,
      issuedAt: field.time,
    }),
  },
}
