import { streamOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { ReadModels } from './database.ts'
import { type PastMoment, rowsAsOf } from './engine/projection.ts'
import { isMoment, isText, type Page, pageOf, readCursor, rowsToRead } from './page.ts'
import type { RentalRow, RentalStatus } from './rentals.table.ts'
import { type RentalList, rentals } from './rentals.ts'

/** How many streams are read at a time. */
const foldsAtOnceMax = 8

/** For each status, the column that says since when a rental has had it; the later one comes first. */
const sinceColumns = {
  position: {
    settled: 'settledPosition',
    over: 'overPosition',
    active: 'activePosition',
    requested: 'requestedPosition',
  },
  time: { settled: 'settledBy', over: 'overBy', active: 'activeBy', requested: 'requestedBy' },
} as const

/** Rentals as they were at a moment, the newest first: the list that a read model would give which had seen no more of the log.
 *  What the filters and the order need never changes, or the row keeps since when it is so; so one query finds the page, and
 *  of its rows only those that have changed since are folded from their streams. Throws INPUT_INVALID,
 *  READ_MODEL_BUILDING. */
export const listRentalsAsOf = async (
  { read, store }: { readonly read: ReadModels; readonly store: Pick<EventStore, 'readStream'> },
  moment: PastMoment,
  list: RentalList,
): Promise<Page<RentalRow>> => {
  const { renter, provider, status } = list
  const [requestedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const byTime = 'time' in moment
  const until = byTime ? moment.time : moment.position
  const since = sinceColumns[byTime ? 'time' : 'position']
  const rows = await read.run('rentals.listAsOf', (db) => {
    let found = db.selectFrom('Rental').selectAll().where(since.requested, '<=', until)
    if (renter !== undefined) found = found.where('renter', '=', renter)
    // Who provides is not known before the rental is active.
    if (provider !== undefined) found = found.where('provider', '=', provider).where(since.active, '<=', until)
    if (status !== undefined) {
      const [begun, notYet] = spanOf(status, since)
      found = found.where(begun, '<=', until)
      for (const column of notYet) found = found.where((eb) => eb.or([eb(column, 'is', null), eb(column, '>', until)]))
      if (status === 'rejected') found = found.where('status', '=', 'rejected')
      if (status === 'ended') found = found.where('status', '<>', 'rejected')
    }
    if (requestedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('requestedAt', 'id'), '<', eb.tuple(requestedAt, id)))
    return found.orderBy('requestedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  if (rows.length === 0 && (await isBeforeBuilt(read)))
    throw new Failure('READ_MODEL_BUILDING', { projection: rentals.name, version: String(rentals.version) })
  const { rows: live, ...page } = pageOf(rows, list, (row) => [row.requestedAt, row.id])
  const then: RentalRow[] = []
  for (let first = 0; first < live.length; first += foldsAtOnceMax)
    then.push(...(await Promise.all(live.slice(first, first + foldsAtOnceMax).map((row) => rowAt(store, moment, row)))))
  return { ...page, rows: then }
}

/** True while the rows are those of the version before, which do not say since when they are so. All are of one version. */
const isBeforeBuilt = async (read: ReadModels): Promise<boolean> => {
  const any = await read.run('rentals.version', (db) =>
    db.selectFrom('Rental').select('requestedPosition').limit(1).executeTakeFirst(),
  )
  return any?.requestedPosition === null
}

type Since = (typeof sinceColumns)['position' | 'time']
type SinceColumn = Since[keyof Since]

/** A rental had the status from when the first column says, until one of the others does. */
const spanOf = (status: RentalStatus, { requested, active, over, settled }: Since): [SinceColumn, SinceColumn[]] => {
  switch (status) {
    case 'requested':
      return [requested, [active, over]]
    case 'active':
      return [active, [over]]
    case 'rejected':
      return [over, []]
    case 'ended':
      return [over, [settled]]
    case 'settled':
      return [settled, []]
  }
}

const rowAt = async (store: Pick<EventStore, 'readStream'>, moment: PastMoment, row: RentalRow): Promise<RentalRow> => {
  const byTime = 'time' in moment
  const unchanged = byTime ? row.latestTime !== null && row.latestTime <= moment.time : row.position <= moment.position
  if (unchanged) return row
  const until = byTime ? { untilTime: moment.time } : { untilPosition: moment.position }
  const rows = await rowsAsOf({ store, projection: rentals, stream: streamOf('rental', row.id), ...until })
  const then = rows.get(row.id)
  if (!then) throw new Error(`The rental ${row.id} is said to have been there, and its stream knows nothing of it`)
  return then
}
