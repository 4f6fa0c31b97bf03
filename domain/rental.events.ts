import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './rental.ts'

const reason = z
  .enum(['returned', 'expired'])
  .describe('Whether the renter returned the GPUs or the rented time is over.')
const ranFor = field.seconds.describe('The whole run that heartbeats acknowledged, never more than the rented time.')

/** How rental events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  RentalRequested: {
    version: 1,
    schema: z
      .object({
        listing: field.id.describe('The listing whose GPUs are requested.'),
        renter: field.wallet.describe('The wallet that requested the rental.'),
        gpuCount: field.gpus.describe('The number of requested GPUs.'),
        seconds: field.seconds.describe('The longest time of the rental.'),
        maxPricePerGpuHour: field.money.describe('The highest accepted price of one GPU per hour.'),
        requestedAt: field.time.describe('When the rental was requested.'),
      })
      .describe('A renter requested GPUs of a listing.'),
  },
  RentalActivated: {
    version: 1,
    schema: z
      .object({
        provider: field.wallet.describe('The provider that lists the GPUs.'),
        gpu: field.text.describe('The model of the GPUs.'),
        pricePerGpuHour: field.money.describe('The price of one GPU per hour, fixed for the whole rental.'),
        held: field.money.describe('The amount that is held for the whole time.'),
        startedAt: field.time.describe('When the rental starts to be charged.'),
        endsAt: field.time.describe('When the rented time is over.'),
      })
      .describe('The GPUs are reserved and the money is held: the rental is active.'),
  },
  RentalRejected: {
    version: 1,
    schema: z
      .object({
        code: field.code.describe('Why the listing or the account refused the rental.'),
        rejectedAt: field.time.describe('When the rental was rejected.'),
      })
      .describe('The rental was rejected; in the end nothing is held and nothing is reserved.'),
  },
  UsageMetered: {
    version: 1,
    schema: z
      .object({
        runSeconds: ranFor,
        fee: field.money.describe('The charge for this period: the total less what was charged before.'),
        total: field.money.describe('The cost of the whole run so far, rounded down.'),
        meteredAt: field.time.describe('The moment up to which the run was counted.'),
      })
      .describe('A charge period or the rental is over: the run since the last charge is owed.'),
  },
  RentalJobAdmitted: {
    version: 1,
    schema: z
      .object({
        job: field.id.describe('The job that may run from now on.'),
        graceSeconds: field.count.meta({
          unit: 'seconds',
          description: 'How long the job has between SIGTERM and SIGKILL, 0 to 300.',
        }),
        admittedAt: field.time.describe('When the job was admitted.'),
      })
      .describe('A job was admitted to the GPUs: the rental does not end before the job.'),
  },
  RentalJobClosed: {
    version: 1,
    schema: z
      .object({
        job: field.id.describe('The job that runs no more.'),
        closedAt: field.time.describe('When the job ended.'),
      })
      .describe('A job of the rental has ended, or was never submitted.'),
  },
  RentalEndRequested: {
    version: 1,
    schema: z
      .object({
        reason,
        requestedAt: field.time.describe('When the end was requested.'),
        billedUntil: field.time.describe('Nothing after this is charged, however long the jobs take to end.'),
      })
      .describe('The rental is to end while jobs run on its GPUs: they are stopped, and no other job starts.'),
  },
  RentalEnded: {
    version: 1,
    schema: z
      .object({
        reason,
        runSeconds: ranFor,
        charged: field.money.describe('The cost of the whole run.'),
        endedAt: field.time.describe('When the rental ended.'),
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
                description: field.text.describe('What was used, as a text for people.'),
                seconds: field.seconds.describe('How long it was used.'),
                amount: field.money.describe('The fee of that event.'),
              })
              .readonly(),
          )
          .describe('One line for each metered period.'),
        total: field.money.describe('The sum of the lines, which equals the whole charge.'),
        released: field.money.describe('The part of the hold that was given back.'),
        issuedAt: field.time.describe('When the invoice was issued.'),
      })
      .describe('A rental was settled: the usage is paid, and the rest of the hold was given back.'),
  },
}
