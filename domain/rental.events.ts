import { z } from 'zod'

import { type CommandFields, type EventSchemas, field } from './events.ts'
import { jobGraceField } from './job.events.ts'
import { int32Max } from './limits.ts'
import type { Command, Event } from './rental.ts'

const reason = z
  .enum(['returned', 'expired'])
  .describe('Whether the renter returned the GPUs or the rented time is over.')
const ranFor = field.seconds.describe('The whole run that heartbeats acknowledged, never more than the rented time.')
const seconds = field.seconds.meta({
  description: 'The longest time of the rental.',
  limit: { min: 1n, max: BigInt(int32Max) },
})
/** The longest rental takes 24,856 days, and touches one more. */
const linesMax = 25_000
const lines = z
  .array(
    z
      .object({
        firstEventId: field.id.describe('The first UsageMetered event that the line charges for.'),
        lastEventId: field.id.describe('The last UsageMetered event that the line charges for.'),
        periods: field.count.meta({
          description: 'How many UsageMetered events the line charges for, from the first to the last.',
          unit: 'events',
        }),
        description: field.text.describe('What was used, as a text for people.'),
        seconds: field.seconds.describe('How long it was used.'),
        amount: field.money.describe('The sum of the fees of these events.'),
      })
      .readonly(),
  )
  .meta({ description: 'One line for each UTC day in which something was charged.', limit: { itemsMax: linesMax } })

const lineOfOnePeriod = ({ eventId, ...line }: { readonly eventId?: unknown }) => ({
  ...line,
  firstEventId: eventId,
  lastEventId: eventId,
  periods: 1,
})

/** With room for more than are tried today. */
const listingsTriedMax = 10
const placement = z
  .object({
    gpu: field.text.describe('The model of GPU that was asked for.'),
    listings: z
      .array(field.id)
      .meta({ description: 'The listings to try, the best first.', limit: { itemsMax: listingsTriedMax } })
      .readonly(),
    vramMib: field.mib.optional().describe('The least memory of one GPU that was asked for.'),
    region: field.text.optional().describe('The region that was asked for.'),
  })
  .readonly()

/** The fields of commands, whose limits count before a command is decided. */
export const commandFields: CommandFields<Command> = {
  listing: field.id,
  renter: field.wallet,
  gpuCount: field.gpus,
  seconds,
  requestedAt: field.time,
  maxPricePerGpuHour: field.price,
  placement: placement.optional(),
  provider: field.wallet,
  gpu: field.text,
  pricePerGpuHour: field.price,
  held: field.money,
  startedAt: field.time,
  notAfter: field.time,
  endsAt: field.time,
  code: field.code,
  rejectedAt: field.time,
  runSeconds: field.seconds,
  meteredAt: field.time,
  job: field.id,
  graceSeconds: jobGraceField,
  admittedAt: field.time,
  closedAt: field.time,
  reason,
  endedAt: field.time,
  lines,
  released: field.money,
  issuedAt: field.time,
}

/** How rental events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  RentalRequested: {
    version: 1,
    schema: z
      .object({
        listing: field.id.describe('The listing whose GPUs are requested.'),
        renter: field.wallet.describe('The wallet that requested the rental.'),
        gpuCount: field.gpus.describe('The number of requested GPUs.'),
        seconds,
        maxPricePerGpuHour: field.price.describe('The highest accepted price of one GPU per hour.'),
        requestedAt: field.time.describe('When the rental was requested.'),
        placement: placement
          .optional()
          .describe('What was asked for when no listing was named. With the first rental of an idempotency key alone.'),
      })
      .describe('A renter requested GPUs of a listing.'),
  },
  RentalActivated: {
    version: 1,
    schema: z
      .object({
        provider: field.wallet.describe('The provider that lists the GPUs.'),
        gpu: field.text.describe('The model of the GPUs.'),
        pricePerGpuHour: field.price.describe('The price of one GPU per hour, fixed for the whole rental.'),
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
        graceSeconds: jobGraceField,
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
    version: 2,
    // Version 1 had a line for each metered period.
    upcasts: { 1: ({ lines, ...invoice }) => ({ ...invoice, lines: (lines as object[]).map(lineOfOnePeriod) }) },
    schema: z
      .object({
        lines,
        total: field.money.describe('The sum of the lines, which equals the whole charge.'),
        released: field.money.describe('The part of the hold that was given back.'),
        issuedAt: field.time.describe('When the invoice was issued.'),
      })
      .describe('A rental was settled: the usage is paid, and the rest of the hold was given back.'),
  },
}
