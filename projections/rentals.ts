import type { Event } from '../domain/rental.ts'
import type { ReadModels } from './database.ts'
import { type EventMetadata, existing, projection } from './engine/projection.ts'
import { toMoment } from './engine/table.ts'
import type { Page, PageRequest } from './page.ts'
import { findByIds, findOne, newestFirst, whereEqual } from './queries.ts'
import { type RentalRow, type RentalStatus, rentalsTable } from './rentals.table.ts'

/** Returns the latest time of a rental's events so far. Clocks disagree, and a history as of a time ends before its
 *  first event later than that time (StreamRange). So an event belongs to it when neither it nor an event before it is
 *  later. */
const latestTimeOf = (row: RentalRow | undefined, { time }: EventMetadata): string => {
  const eventTime = toMoment(time)
  return row?.latestTime && row.latestTime > eventTime ? row.latestTime : eventTime
}

const noPhase = {
  requestedPosition: null,
  requestedBy: null,
  activePosition: null,
  activeBy: null,
  endingPosition: null,
  endingBy: null,
  overPosition: null,
  overBy: null,
  settledPosition: null,
  settledBy: null,
  latestTime: null,
}

type Phase = 'requested' | 'active' | 'ending' | 'over' | 'settled'

/** Returns the columns that lists as of a moment need of an event that begins a phase: its position, and the latest
 *  time by then. */
const begin = <Name extends Phase>(phase: Name, row: RentalRow | undefined, metadata: EventMetadata) => {
  const latestTime = latestTimeOf(row, metadata)
  const columns = { [`${phase}Position`]: metadata.position, [`${phase}By`]: latestTime, latestTime }
  return columns as Record<`${Name}Position` | `${Name}By` | 'latestTime', string>
}

const countJobs = (row: RentalRow | undefined, metadata: EventMetadata, by: 1 | -1): RentalRow => {
  const rental = existing(row, metadata)
  return { ...rental, openJobs: rental.openJobs + by, latestTime: latestTimeOf(row, metadata) }
}

/** Leases of GPUs. */
export const rentals = projection<Event, RentalRow>({
  name: 'rentals',
  version: 3,
  table: rentalsTable,
  key: (_, { id }) => id,
  fold: {
    RentalRequested: (_, { type, maxPricePerGpuHour, placement, ...terms }, metadata) => ({
      ...terms,
      status: 'requested',
      provider: null,
      gpu: null,
      runSeconds: 0n,
      asset: maxPricePerGpuHour.asset,
      maxPricePerGpuHour: maxPricePerGpuHour.amount,
      pricePerGpuHour: null,
      held: null,
      charged: 0n,
      released: null,
      refusal: null,
      endReason: null,
      openJobs: 0,
      startedAt: null,
      endsAt: null,
      endRequestedAt: null,
      endedAt: null,
      settledAt: null,
      correlationId: metadata.correlationId,
      ...noPhase,
      ...begin('requested', undefined, metadata),
    }),
    RentalActivated: (row, { type, pricePerGpuHour, held, ...lease }, metadata) => ({
      ...existing(row, metadata),
      ...lease,
      status: 'active',
      pricePerGpuHour: pricePerGpuHour.amount,
      held: held.amount,
      ...begin('active', row, metadata),
    }),
    RentalRejected: (row, { code, rejectedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'rejected',
      refusal: code,
      endedAt: rejectedAt,
      ...begin('over', row, metadata),
    }),
    UsageMetered: (row, { runSeconds, total }, metadata) => ({
      ...existing(row, metadata),
      runSeconds,
      charged: total.amount,
      latestTime: latestTimeOf(row, metadata),
    }),
    RentalJobAdmitted: (row, _, metadata) => countJobs(row, metadata, 1),
    RentalJobClosed: (row, _, metadata) => countJobs(row, metadata, -1),
    RentalEndRequested: (row, { reason, requestedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'ending',
      endReason: reason,
      endRequestedAt: requestedAt,
      ...begin('ending', row, metadata),
    }),
    RentalEnded: (row, { reason, runSeconds, charged, endedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'ended',
      endReason: reason,
      runSeconds,
      charged: charged.amount,
      endedAt,
      ...begin('over', row, metadata),
    }),
    InvoiceIssued: (row, { released, issuedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'settled',
      released: released.amount,
      settledAt: issuedAt,
      ...begin('settled', row, metadata),
    }),
  },
})

/** Finds rentals with one query, in the order of the ids. */
export const findRentals = findByIds<RentalRow>('rentals.find', (db) => db.selectFrom('Rental').selectAll())

/** Finds one rental. */
export const findRental = findOne(findRentals)

export type RentalList = PageRequest & {
  readonly renter?: string | undefined
  readonly provider?: string | undefined
  readonly status?: RentalStatus | undefined
}

/** Resolves to one page of rentals, the newest first. Throws INPUT_INVALID. */
export const listRentals = (read: ReadModels, list: RentalList): Promise<Page<RentalRow>> => {
  const { renter, provider, status } = list
  return newestFirst(read, 'rentals.list', list, 'requestedAt', (db) =>
    whereEqual(db.selectFrom('Rental').selectAll(), { renter, provider, status }),
  )
}
