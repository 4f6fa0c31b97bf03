import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { errorClassOf } from '../../infra/system/database-errors.ts'
import { type CheckpointState, moveStatement, moveValues, type ProjectionTarget } from './checkpoints.ts'
import { eventRefOf, type FoldedBatch, type LoadedRows } from './fold-batch.ts'
import { countHeld, type EventRef, type Parking, park } from './parked-streams.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

/** Returns true when the database refuses a value for good. */
export const isRowRejected = (error: unknown): boolean => errorClassOf(error) === 'value'

/** All streams that were parked, and those of them that had a refused row. */
export type BisectedCommit = { readonly parkings: readonly Parking[]; readonly refused: readonly string[] }

type Written = { readonly row: AnyRow; readonly stream: string }
/** An event of a stream, and the row that it changes. */
type Step = { readonly event: EventRef; readonly row: AnyRow | undefined }
/** The events of a stream in one batch, in their order. The rows as of the first `written` of them are taken, those as
 *  of the first `refused` are not. */
type Search = { readonly steps: Step[]; written: number; refused: number; readonly error: unknown }

/** Writes a batch with rows that the database refuses, in one transaction however many they are: finds those rows,
 *  parks each of their streams at an event after which its row is refused, and writes the rest. Resolves to undefined,
 *  with nothing written, when the checkpoint was moved meanwhile. */
export const commitBisecting = (
  dependencies: {
    readonly database: Pick<Database, 'transaction'>
    readonly store: Pick<EventStore, 'readAll'>
  },
  target: ProjectionTarget,
  state: CheckpointState,
  { position, rows, parkings, held }: FoldedBatch,
): Promise<BisectedCommit | undefined> =>
  dependencies.database.transaction('projections.writeCarefully', async (query) => {
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
      // No row of a refused stream may stay: it is written as of the last event before the refused one.
      for (const [stream, error] of found) refused.set(stream, error)
      await query('projections.rollback', 'rollback to savepoint rows')
    }
    const range = { after: state.position, position }
    const searches = await searchesOf(dependencies.store, query, target, refused, range)
    await bisectSteps(query, target, searches)
    const all = parkings.filter(({ event }) => !refused.has(event.stream))
    for (const { steps, written, error } of searches.values()) {
      const step = steps[written]
      if (step) all.push({ event: step.event, error, held: steps.length - written - 1 })
    }
    await query('projections.move', moveStatement(target), moveValues(target, state, position, all.length))
    await park(query, target, all)
    await countHeld(query, target, held)
    return { parkings: all, refused: [...refused.keys()] }
  })

/** Folds the refused streams of a batch again, event by event, with one reading of that part of the log. */
const searchesOf = async (
  store: Pick<EventStore, 'readAll'>,
  query: Query,
  target: ProjectionTarget,
  refused: ReadonlyMap<string, unknown>,
  { after, position }: { readonly after: Position; readonly position: Position },
): Promise<ReadonlyMap<string, Search>> => {
  const { projection } = target
  const { rowsNeverChange, types } = projection
  const events: Refolded[] = []
  const keys = new Set<string>()
  const begun = new Set<string>()
  for await (const stored of store.readAll({ types, after })) {
    if (stored.position > position) break
    if (!refused.has(stored.stream)) continue
    const refolded = refoldedOf(projection, stored)
    events.push(refolded)
    // A stream that begins here has no row yet, and its keys may be what the database refuses.
    if (stored.revision === 0n) begun.add(stored.stream)
    if (refolded.key !== undefined && !rowsNeverChange && !begun.has(stored.stream)) keys.add(refolded.key)
  }
  const rows = new Map((await selectRows(query, target, [...keys])).map((row) => [row.id, row]))
  const searches = new Map<string, Search>()
  const ended = new Set<string>()
  for (const { ref, fold } of events) {
    const search = searches.get(ref.stream) ?? { steps: [], written: 0, refused: 0, error: refused.get(ref.stream) }
    searches.set(ref.stream, search)
    const folded = ended.has(ref.stream) ? undefined : fold(rows)
    // An event that cannot be folded comes behind the refused one, or the refused row would not have been made.
    if (!folded) ended.add(ref.stream)
    search.steps.push({ event: ref, row: folded?.row })
    if (folded) search.refused = search.steps.length
  }
  return searches
}

type Refolded = {
  readonly ref: EventRef
  readonly key: string | undefined
  /** Returns the changed row; undefined for an event that cannot be folded. */
  readonly fold: (rows: Map<string, AnyRow>) => { readonly row: AnyRow | undefined } | undefined
}

const refoldedOf = (projection: Projection, stored: StoredEvent): Refolded => {
  const ref = eventRefOf(stored)
  try {
    const { event, metadata } = decodeStored(stored)
    const fold = (rows: Map<string, AnyRow>) => {
      try {
        return { row: foldInto(projection, rows, event, metadata) }
      } catch {
        return undefined
      }
    }
    return { ref, key: projection.key(event, metadata), fold }
  } catch {
    return { ref, key: undefined, fold: () => undefined }
  }
}

/** Finds in each stream an event as of which its rows are refused although they are taken as of the event before, all
 *  streams together in each round. Writes the rows as of the event before. */
const bisectSteps = async (
  query: Query,
  target: ProjectionTarget,
  searches: ReadonlyMap<string, Search>,
): Promise<void> => {
  const open = () => [...searches].filter(([, { written, refused }]) => refused - written > 1)
  const rowsUntil = (stream: string, { steps }: Search, count: number): Written[] => {
    const last = new Map<string, AnyRow>()
    for (const { row } of steps.slice(0, count)) if (row) last.set(row.id, row)
    return [...last.values()].map((row) => ({ row, stream }))
  }
  await query('projections.savepoint', 'savepoint steps')
  for (let round = open(); round.length > 0; round = open()) {
    const middle = ({ written, refused }: Search) => (written + refused) >> 1
    const found = await writeOrFind(
      query,
      target,
      round.flatMap(([stream, search]) => rowsUntil(stream, search, middle(search))),
    )
    for (const [stream, search] of round)
      if (found.has(stream)) search.refused = middle(search)
      else search.written = middle(search)
    await query('projections.rollback', 'rollback to savepoint steps')
  }
  const accepted = [...searches].flatMap(([stream, search]) => rowsUntil(stream, search, search.written))
  if (accepted.length > 0)
    await query('projections.write', target.table.upsert('$1'), [target.table.encode(accepted.map(({ row }) => row))])
}

/** Writes the rows and resolves to an empty map. If the database refuses some, finds them by bisection and resolves to
 *  the error of each of their streams: then only some rows are written.
 *  @param isRefusal decides which errors are about a row. */
export const writeOrFind = async (
  query: Query,
  target: ProjectionTarget,
  rows: readonly Written[],
  isRefusal: (error: unknown) => boolean = isRowRejected,
): Promise<Map<string, unknown>> => {
  const { table } = target
  if (rows.length === 0) return new Map()
  await query('projections.savepoint', 'savepoint part')
  try {
    await query('projections.write', table.upsert('$1'), [table.encode(rows.map(({ row }) => row))])
    await query('projections.release', 'release savepoint part')
    return new Map()
  } catch (error) {
    if (!isRefusal(error)) throw error
    await query('projections.rollback', 'rollback to savepoint part; release savepoint part')
    const [first] = rows
    if (first && rows.length === 1) return new Map([[first.stream, error]])
    const middle = rows.length >> 1
    const found = await writeOrFind(query, target, rows.slice(0, middle), isRefusal)
    for (const [stream, problem] of await writeOrFind(query, target, rows.slice(middle), isRefusal))
      found.set(stream, problem)
    return found
  }
}

/** Resolves to the existing rows with these keys. */
export const selectRows = async (
  query: Query,
  { table, projection }: ProjectionTarget,
  keys: readonly string[],
): Promise<AnyRow[]> => {
  if (keys.length === 0) return []
  const label = `projections.${projection.name}.select`
  const found = await query<Record<string, unknown>>(label, table.selectByIds, [keys])
  return found.map((raw) => table.decode(raw))
}

/** Resolves to the existing rows with these keys, outside of a transaction. A key that the database refuses, for example
 *  a text with a NUL, is found by bisection.
 *  @param select resolves to the existing rows with some of the keys. */
export const loadRows = async (
  select: (keys: readonly string[]) => Promise<readonly AnyRow[]>,
  keys: readonly string[],
): Promise<LoadedRows> => {
  try {
    return { rows: keys.length > 0 ? await select(keys) : [], refused: new Map() }
  } catch (error) {
    if (!isRowRejected(error)) throw error
    const [first] = keys
    if (first !== undefined && keys.length === 1) return { rows: [], refused: new Map([[first, error]]) }
    const middle = keys.length >> 1
    const one = await loadRows(select, keys.slice(0, middle))
    const other = await loadRows(select, keys.slice(middle))
    return { rows: [...one.rows, ...other.rows], refused: new Map([...one.refused, ...other.refused]) }
  }
}

/** The checkpoint that rows belonged to when they were read. */
export type Standing = { readonly position: string; readonly retries: number }

/** Resolves to the existing rows with these keys and the checkpoint as of the same moment; without one when there is
 *  none of this version. */
export const selectWithStanding = async (
  query: Query,
  { table, projection: { name, version }, checkpoints }: ProjectionTarget,
  keys: readonly string[],
): Promise<{ readonly standing: Standing | undefined; readonly rows: readonly AnyRow[] }> => {
  const text = `select c.position as checkpoint_position, c.retries as checkpoint_retries, r.*
    from ${checkpoints} c left join (${table.selectByIds}) r on true where c.projection = $2 and c.version = $3`
  type Found = Record<string, unknown> & { readonly checkpoint_position: string; readonly checkpoint_retries: number }
  const options = { retry: true, name: `select ${table.name}` }
  const found = await query<Found>(`projections.${name}.select`, text, [keys, name, version], options)
  const [first] = found
  return {
    standing: first && { position: first.checkpoint_position, retries: first.checkpoint_retries },
    rows: found.filter(({ id }) => id !== null).map((raw) => table.decode(raw)),
  }
}
