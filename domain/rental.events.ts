import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './rental.ts'

const reason = z
  .enum(['returned', 'expired'])
  .describe('Whether the renter gave it back or the time that was rented is over.')
const ranFor = field.seconds.describe('The whole run that the provider acknowledged, never more than was rented.')

/** How rental events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  RentalRequested: {
    version: 1,
    schema: z
      .object({
        listing: field.id.describe('The listing whose GPUs are wished for.'),
        renter: field.wallet.describe('Who wants to rent.'),
        gpuCount: field.gpus.describe('How many are wished for.'),
        seconds: field.seconds.describe('For how long at most.'),
        maxPricePerGpuHour: field.money.describe('What one GPU may cost per hour.'),
        requestedAt: field.time.describe('When it was asked for.'),
      })
      .describe('A renter asked for GPUs of a listing.'),
  },
  RentalActivated: {
    version: 1,
    schema: z
      .object({
        provider: field.wallet.describe('Who lists the GPUs.'),
        gpu: field.text.describe('The model.'),
        pricePerGpuHour: field.money.describe('What one GPU costs per hour, to the end.'),
        held: field.money.describe('What was set aside for the whole time.'),
        startedAt: field.time.describe('From when it is paid for.'),
        endsAt: field.time.describe('When the time that was rented is over.'),
      })
      .describe('The GPUs are reserved and the money is held: the rental runs.'),
  },
  RentalRejected: {
    version: 1,
    schema: z
      .object({
        code: field.code.describe('What the listing or the account refused.'),
        rejectedAt: field.time.describe('When it was refused.'),
      })
      .describe('The rental did not come about; nothing is held and nothing reserved.'),
  },
  UsageMetered: {
    version: 1,
    schema: z
      .object({
        runSeconds: ranFor,
        fee: field.money.describe('What this period adds: the total less what was charged before.'),
        total: field.money.describe('What the whole run costs so far, rounded down.'),
        meteredAt: field.time.describe('Up to when the run was counted.'),
      })
      .describe('A charge period, or the rental, is over: what ran since the last one is owed.'),
  },
  RentalEnded: {
    version: 1,
    schema: z
      .object({
        reason,
        runSeconds: ranFor,
        charged: field.money.describe('What the whole run costs.'),
        endedAt: field.time.describe('When it ended.'),
      })
      .describe('The rental is over and can be settled.'),
  },
  InvoiceIssued: {
    version: 1,
    schema: z
      .object({
        lines: z
          .array(
            z
              .object({
                eventId: field.id.describe('The UsageMetered event that the line charges for.'),
                description: field.text.describe('What was used, for people.'),
                seconds: field.seconds.describe('How long.'),
                amount: field.money.describe('The fee of that event.'),
              })
              .readonly(),
          )
          .describe('One for each metered period.'),
        total: field.money.describe('The sum of the lines, which is what was charged.'),
        released: field.money.describe('What of the hold came back.'),
        issuedAt: field.time.describe('When it was written.'),
      })
      .describe('A rental was settled: what was used is paid, and the rest of the hold has come back.'),
  },
}
