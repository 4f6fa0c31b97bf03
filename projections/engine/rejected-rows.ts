import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { errorCode } from '../../infra/system/errors.ts'
import { type CheckpointState, moveStatement, moveValues, type ProjectionTarget } from './checkpoints.ts'
import type { FoldedBatch } from './fold-batch.ts'
import { countHeld, type EventRef, type Parking, park } from './parked-streams.ts'
import type { AnyRow } from './table.ts'

/** Returns true when the database refuses a value for good: SQLSTATE class 22 (a number out of range, malformed text)
 *  or 23 (a constraint). */
export const isRowRejected = (error: unknown): boolean => /^2[23][0-9A-Z]{3}$/.test(errorCode(error) ?? '')

/** All streams that were parked, and those of them that had a refused row. */
export type BisectedCommit = { readonly parkings: readonly Parking[]; readonly refused: readonly string[] }

type Written = { readonly row: AnyRow; readonly stream: string }

/** Writes a batch with a row that the database refuses: finds such rows, parks their streams before their first
 *  event in the batch, and writes the rest. Resolves to undefined, with nothing written, when the checkpoint was moved
 *  meanwhile. */
export const commitBisecting = (
  {
    database,
    store,
  }: { readonly database: Pick<Database, 'transaction'>; readonly store: Pick<EventStore, 'readStream'> },
  target: ProjectionTarget,
  state: CheckpointState,
  { position, rows, parkings, held }: FoldedBatch,
): Promise<BisectedCommit | undefined> =>
  database.transaction('projections.writeCarefully', async (query) => {
    const lock = `select projection from ${target.checkpoints}
      where projection = $1 and version = $2 and position = $3 and retries = $4 for update`
    const values = moveValues(target, state, position, 0)
    if ((await query('projections.lock', lock, values.slice(0, 4))).length === 0) return undefined
    const refused = new Map<string, unknown>()
    await query('projections.savepoint', 'savepoint rows')
    for (;;) {
      const remaining = rows.filter(({ stream }) => !refused.has(stream))
      const found = await writeOrFind(query, target, remaining)
      if (found.size === 0) break
      // No row of a refused stream may stay: the stream is folded again from its first event in this batch.
      for (const [stream, error] of found) refused.set(stream, error)
      await query('projections.rollback', 'rollback to savepoint rows')
    }
    const all = parkings.filter(({ event }) => !refused.has(event.stream))
    for (const [stream, error] of refused)
      all.push(await parkingOf(store, target, stream, { after: state.position, position }, error))
    await query('projections.move', moveStatement(target), moveValues(target, state, position, all.length))
    await park(query, target, all)
    await countHeld(query, target, held)
    return { parkings: all, refused: [...refused.keys()] }
  })

/** Resolves to the parking of a stream before its first event after a position. Its later events up to `position` wait
 *  behind it. */
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
  if (!first) throw new Error(`A row was folded from ${stream}, which has no event after ${after}`)
  return { event: first, error, held }
}

/** Writes the rows and resolves to an empty map. If the database refuses some, finds them by bisection and resolves to
 *  the error of each of their streams: then only some rows are written. */
const writeOrFind = async (
  query: Query,
  target: ProjectionTarget,
  rows: readonly Written[],
): Promise<Map<string, unknown>> => {
  const { table } = target
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
    const found = await writeOrFind(query, target, rows.slice(0, middle))
    for (const [stream, problem] of await writeOrFind(query, target, rows.slice(middle))) found.set(stream, problem)
    return found
  }
}
