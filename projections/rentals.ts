import type { Event } from '../domain/rental.ts'
import type { ReadModels } from './database.ts'
import { type EventMetadata, existing, projection } from './engine/projection.ts'
import { toMoment } from './engine/table.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { type RentalRow, type RentalStatus, rentalsTable } from './rentals.table.ts'

/** The latest time of the events so far. Clocks disagree, and a history as of a time ends before its first event later than
 *  that (StreamRange): so an event belongs to it when none up to it is later. */
const lateness = (row: RentalRow | undefined, { time }: EventMetadata): string => {
  const now = toMoment(time)
  return row?.latestTime && row.latestTime > now ? row.latestTime : now
}

export const rentals = projection<Event, RentalRow>({
  name: 'rentals',
  version: 2,
  table: rentalsTable,
  key: (_, { id }) => id,
  fold: {
    RentalRequested: (_, { type, maxPricePerGpuHour, ...terms }, recorded) => ({
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
      startedAt: null,
      endsAt: null,
      endedAt: null,
      settledAt: null,
      correlationId: recorded.correlationId,
      requestedPosition: recorded.position,
      requestedBy: lateness(undefined, recorded),
      activePosition: null,
      activeBy: null,
      overPosition: null,
      overBy: null,
      settledPosition: null,
      settledBy: null,
      latestTime: lateness(undefined, recorded),
    }),
    RentalActivated: (row, { type, pricePerGpuHour, held, ...lease }, recorded) => ({
      ...existing(row, recorded),
      ...lease,
      status: 'active',
      pricePerGpuHour: pricePerGpuHour.amount,
      held: held.amount,
      activePosition: recorded.position,
      activeBy: lateness(row, recorded),
      latestTime: lateness(row, recorded),
    }),
    RentalRejected: (row, { code, rejectedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'rejected',
      refusal: code,
      endedAt: rejectedAt,
      overPosition: recorded.position,
      overBy: lateness(row, recorded),
      latestTime: lateness(row, recorded),
    }),
    UsageMetered: (row, { runSeconds, total }, recorded) => ({
      ...existing(row, recorded),
      runSeconds,
      charged: total.amount,
      latestTime: lateness(row, recorded),
    }),
    RentalEnded: (row, { reason, runSeconds, charged, endedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'ended',
      endReason: reason,
      runSeconds,
      charged: charged.amount,
      endedAt,
      overPosition: recorded.position,
      overBy: lateness(row, recorded),
      latestTime: lateness(row, recorded),
    }),
    InvoiceIssued: (row, { released, issuedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'settled',
      released: released.amount,
      settledAt: issuedAt,
      settledPosition: recorded.position,
      settledBy: lateness(row, recorded),
      latestTime: lateness(row, recorded),
    }),
  },
})

/** Many rentals with one query, in the order asked. */
export const findRentals = (read: ReadModels, ids: readonly string[]): Promise<(RentalRow | undefined)[]> =>
  byIds(ids, (wanted) =>
    read.run('rentals.find', (db) => db.selectFrom('Rental').selectAll().where('id', 'in', wanted).execute()),
  )

export const findRental = async (read: ReadModels, id: string): Promise<RentalRow | undefined> =>
  (await findRentals(read, [id]))[0]

export type RentalList = PageRequest & {
  readonly renter?: string | undefined
  readonly provider?: string | undefined
  readonly status?: RentalStatus | undefined
}

/** Rentals, the newest first. Throws INPUT_INVALID. */
export const listRentals = async (read: ReadModels, list: RentalList): Promise<Page<RentalRow>> => {
  const { renter, provider, status } = list
  const [requestedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const rows = await read.run('rentals.list', (db) => {
    let found = db.selectFrom('Rental').selectAll()
    if (renter !== undefined) found = found.where('renter', '=', renter)
    if (provider !== undefined) found = found.where('provider', '=', provider)
    if (status !== undefined) found = found.where('status', '=', status)
    if (requestedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('requestedAt', 'id'), '<', eb.tuple(requestedAt, id)))
    return found.orderBy('requestedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows, list, (row) => [row.requestedAt, row.id])
}
