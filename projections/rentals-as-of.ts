import { streamOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import { type PastMoment, rowsAsOf } from './engine/projection.ts'
import type { Page } from './page.ts'
import { newestFirst } from './queries.ts'
import type { RentalRow, RentalStatus } from './rentals.table.ts'
import { type RentalList, rentals } from './rentals.ts'

/** How many rentals are folded from their streams at the same time. */
const foldsAtOnceMax = 8

/** For each phase of a rental, the column with the time since when the rental is in it. */
const sinceColumns = {
  position: {
    settled: 'settledPosition',
    over: 'overPosition',
    ending: 'endingPosition',
    active: 'activePosition',
    requested: 'requestedPosition',
  },
  time: { settled: 'settledBy', over: 'overBy', ending: 'endingBy', active: 'activeBy', requested: 'requestedBy' },
} as const

/** Resolves to one page of rentals as they were at a moment, the newest first: the same list as a read model of a log
 *  that ends at that moment. One query finds the page, because the values that filters and order use never change, or
 *  the row records since when it has them. Only rows that have changed since are folded from their streams. Throws
 *  INPUT_INVALID, READ_MODEL_BUILDING. */
export const listRentalsAsOf = async (
  { read, store }: { readonly read: ReadModels; readonly store: Pick<EventStore, 'readStream'> },
  moment: PastMoment,
  list: RentalList,
): Promise<Page<RentalRow>> => {
  const { rows, ...page } = await newestFirst(read, 'rentals.listAsOf', list, 'requestedAt', (db) =>
    selectAsOf(db, moment, list),
  )
  if (rows.length === 0 && (await isBeforeBuilt(read)))
    throw new Failure('READ_MODEL_BUILDING', { projection: rentals.name, version: String(rentals.version) })
  const rowsThen = await inChunks(rows, foldsAtOnceMax, (chunk) =>
    Promise.all(chunk.map((row) => rowAt(store, moment, row))),
  )
  return { ...page, rows: rowsThen.flat() }
}

/** Selects the rentals that passed the filters at the moment, with their rows as they are now. */
const selectAsOf = (db: ReadDatabase, moment: PastMoment, { renter, provider, status }: RentalList) => {
  const byTime = 'time' in moment
  const until = byTime ? moment.time : moment.position
  const since = sinceColumns[byTime ? 'time' : 'position']
  let found = db.selectFrom('Rental').selectAll().where(since.requested, '<=', until)
  if (renter !== undefined) found = found.where('renter', '=', renter)
  // The provider is not known before the rental is active.
  if (provider !== undefined) found = found.where('provider', '=', provider).where(since.active, '<=', until)
  if (status !== undefined) {
    const [begun, notYet] = spanOf(status, since)
    found = found.where(begun, '<=', until)
    for (const column of notYet) found = found.where((eb) => eb.or([eb(column, 'is', null), eb(column, '>', until)]))
    if (status === 'rejected') found = found.where('status', '=', 'rejected')
    if (status === 'ended') found = found.where('status', '<>', 'rejected')
  }
  return found
}

/** Resolves to true while the rows are those of the version before, which lack the columns of the phases. All rows are
 *  of one version. */
const isBeforeBuilt = async (read: ReadModels): Promise<boolean> => {
  const any = await read.run('rentals.version', (db) =>
    db.selectFrom('Rental').select('requestedPosition').limit(1).executeTakeFirst(),
  )
  return any?.requestedPosition === null
}

type Since = (typeof sinceColumns)['position' | 'time']
type SinceColumn = Since[keyof Since]

/** Returns the columns that bound a status: a rental has it since the first one, until the earliest of the others. */
const spanOf = (status: RentalStatus, since: Since): [SinceColumn, SinceColumn[]] => {
  const { requested, active, ending, over, settled } = since
  switch (status) {
    case 'requested':
      return [requested, [active, over]]
    case 'active':
      return [active, [ending, over]]
    case 'ending':
      return [ending, [over]]
    case 'rejected':
      return [over, []]
    case 'ended':
      return [over, [settled]]
    case 'settled':
      return [settled, []]
  }
}

/** Resolves to the row as it was at the moment, folded from the stream if it has changed since. */
const rowAt = async (store: Pick<EventStore, 'readStream'>, moment: PastMoment, row: RentalRow): Promise<RentalRow> => {
  const byTime = 'time' in moment
  const unchanged = byTime ? row.latestTime !== null && row.latestTime <= moment.time : row.position <= moment.position
  if (unchanged) return row
  const until = byTime ? { untilTime: moment.time } : { untilPosition: moment.position }
  const rows = await rowsAsOf({ store, projection: rentals, stream: streamOf('rental', row.id), ...until })
  const rowThen = rows.get(row.id)
  if (!rowThen) throw new Error(`Rental ${row.id} existed at the moment by its row, but not by its stream`)
  return rowThen
}
