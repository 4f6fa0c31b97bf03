import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { type CheckpointState, moveStatement, moveValues, type ProjectionTarget } from './checkpoints.ts'
import { countHeld, type EventRef, type Parking, park } from './parked-streams.ts'
import type { Step } from './step.ts'
import type { AnyRow } from './table.ts'

/** True when the database will not have a value, whatever is tried: SQLSTATE class 22 (a number out of range, text that is
 *  none) or 23 (a constraint). */
export const isRowRejected = (error: unknown): boolean =>
  typeof error === 'object' &&
  error !== null &&
  'code' in error &&
  typeof error.code === 'string' &&
  /^2[23][0-9A-Z]{3}$/.test(error.code)

/** All streams that were parked, and those of them of which a row was refused. */
export type BisectedCommit = { readonly parkings: readonly Parking[]; readonly refused: readonly string[] }

type Written = { readonly row: AnyRow; readonly stream: string }

/** Writes a step of which the database has refused a row: finds the rows, parks their streams before what the step has of
 *  them, and writes the rest. Undefined, and nothing is written, when the checkpoint is not where it was left. */
export const commitBisecting = (
  {
    database,
    store,
  }: { readonly database: Pick<Database, 'transaction'>; readonly store: Pick<EventStore, 'readStream'> },
  place: ProjectionTarget,
  standing: CheckpointState,
  { position, rows, parkings, held }: Step,
): Promise<BisectedCommit | undefined> =>
  database.transaction('projections.writeCarefully', async (query) => {
    const lock = `select projection from ${place.checkpoints}
      where projection = $1 and version = $2 and position = $3 and retries = $4 for update`
    const values = moveValues(place, standing, position, 0)
    if ((await query('projections.lock', lock, values.slice(0, 4))).length === 0) return undefined
    const refused = new Map<string, unknown>()
    await query('projections.savepoint', 'savepoint rows')
    for (;;) {
      const left = rows.filter(({ stream }) => !refused.has(stream))
      const found = await writeOrFind(query, place, left)
      if (found.size === 0) break
      // Of a refused stream no row may stay: it is folded again from its first event in this step.
      for (const [stream, error] of found) refused.set(stream, error)
      await query('projections.rollback', 'rollback to savepoint rows')
    }
    const all = parkings.filter(({ event }) => !refused.has(event.stream))
    for (const [stream, error] of refused)
      all.push(await parkingOf(store, place, stream, { after: standing.position, position }, error))
    await query('projections.move', moveStatement(place), moveValues(place, standing, position, all.length))
    await park(query, place, all)
    await countHeld(query, place, held)
    return { parkings: all, refused: [...refused.keys()] }
  })

/** The parking of a stream before the first of its events after a position; those up to another one wait behind it. */
const parkingOf = async (
  store: Pick<EventStore, 'readStream'>,
  { projection: { types } }: ProjectionTarget,
  stream: string,
  { after, position }: { readonly after: Position; readonly position: Position },
  error: unknown,
): Promise<Parking> => {
  let first: EventRef | undefined
  let held = -1
  for await (const event of store.readStream(stream, { direction: 'backwards' })) {
    if (event.position <= after) break
    if (event.position > position || !types.includes(event.type)) continue
    first = event
    held += 1
  }
  if (!first) throw new Error(`a row came from ${stream}, of which there is no event after ${after}`)
  return { event: first, error, held }
}

/** Writes the rows, or finds the streams of those that are refused, by halves; then some are written and some are not. */
const writeOrFind = async (
  query: Query,
  place: ProjectionTarget,
  rows: readonly Written[],
): Promise<Map<string, unknown>> => {
  const { table } = place
  if (rows.length === 0) return new Map()
  await query('projections.savepoint', 'savepoint part')
  try {
    await query('projections.write', table.upsert('$1'), [table.encode(rows.map(({ row }) => row))])
    await query('projections.release', 'release savepoint part')
    return new Map()
  } catch (error) {
    if (!isRowRejected(error)) throw error
    await query('projections.rollback', 'rollback to savepoint part')
    await query('projections.release', 'release savepoint part')
    const [first] = rows
    if (first && rows.length === 1) return new Map([[first.stream, error]])
    const middle = rows.length >> 1
    const found = await writeOrFind(query, place, rows.slice(0, middle))
    for (const [stream, problem] of await writeOrFind(query, place, rows.slice(middle))) found.set(stream, problem)
    return found
  }
}
