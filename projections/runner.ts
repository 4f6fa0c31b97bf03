import { setTimeout as delay } from 'node:timers/promises'
import type { DomainEvent } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Batch, EventStore, Position, StoredEvent } from '../infra/event-store/port.ts'
import type { Database, Query } from '../infra/postgres.ts'
import type { Log } from '../infra/telemetry.ts'
import { markFailed, moveCheckpoint, openCheckpoint, type ProjectionFailure, readCheckpoints } from './checkpoints.ts'
import type { ProjectionMetrics } from './metrics.ts'
import { decodeStored, foldInto, type Projection, type Recorded } from './projection.ts'
import type { AnyRow } from './table.ts'

export const batchSizeDefault = 500
/** A checkpoint moves at most this often while nothing in the log concerns its projection. */
const idleMoveMs = 250
const retryMsMin = 100
const retryMsMax = 5_000

/** `stuck`: an event cannot be folded; `waiting`: the database or the store does not answer. Both are tried again. */
export type RunnerState =
  | { readonly state: 'starting' | 'running' }
  | { readonly state: 'stuck' | 'waiting'; readonly failure: ProjectionFailure }

export type RunnerOptions = {
  readonly projection: Projection
  readonly store: Pick<EventStore, 'subscribe' | 'start' | 'parsePosition'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
  readonly metrics?: ProjectionMetrics | undefined
  readonly batchSize?: number | undefined
  /** The rows reflect the log up to here. */
  readonly onReached?: (position: Position) => void
  readonly onState?: (state: RunnerState) => void
  readonly signal: AbortSignal
}

/** An event that could not be read or folded. */
class PoisonError extends Error {
  readonly stored: StoredEvent
  constructor(stored: StoredEvent, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.stored = stored
  }
}

const failureOf = (error: unknown): ProjectionFailure => {
  const cause = error instanceof PoisonError ? error.cause : error
  const code = cause instanceof Failure ? cause.code : 'INTERNAL'
  const message = cause instanceof Error ? cause.message : String(cause)
  if (!(error instanceof PoisonError)) return { code, message }
  return { code, message, stream: error.stored.stream, revision: String(error.stored.revision) }
}

/** Keeps one read model up to date until the signal aborts. Each event counts exactly once, whatever dies and however many
 *  runners there are: rows and checkpoint are written in one transaction that moves the checkpoint from where it was found.
 *  Never throws: an outage, or an event that cannot be folded, is tried again with growing pauses. */
export const runProjection = async (options: RunnerOptions): Promise<void> => {
  const { projection, database, log, metrics, signal, onState } = options
  let pauseMs = retryMsMin
  let lastMessage = ''
  let poisonAt: Position | undefined
  const reached = (position: Position) => {
    options.onReached?.(position)
    // What lies before the event that it stands at is no progress.
    if (poisonAt !== undefined && position < poisonAt) return
    pauseMs = retryMsMin
    lastMessage = ''
    poisonAt = undefined
    onState?.({ state: 'running' })
  }
  /** The log can be read again; whether rows can be written shows with the next event, so no pause is forgotten yet. */
  const opened = (position: Position) => {
    options.onReached?.(position)
    if (poisonAt === undefined) onState?.({ state: 'running' })
  }
  while (!signal.aborted) {
    const progress: Progress = { committed: undefined, opened, reached }
    try {
      await follow(options, progress)
    } catch (error) {
      if (signal.aborted) return
      const failure = failureOf(error)
      const poisoned = error instanceof PoisonError
      poisonAt = poisoned ? error.stored.position : undefined
      const level = failure.message === lastMessage ? 'debug' : poisoned ? 'error' : 'warn'
      lastMessage = failure.message
      log[level]({ projection: projection.name, ...failure, retryMs: pauseMs }, 'a projection stands still')
      metrics?.failed(projection.name, failure.code)
      onState?.({ state: poisoned ? 'stuck' : 'waiting', failure })
      if (poisoned && progress.committed !== undefined)
        await markFailed(database.query, projection, progress.committed, failure).catch(() => undefined)
      await delay(pauseMs, undefined, { signal }).catch(() => undefined)
      pauseMs = Math.min(pauseMs * 2, retryMsMax)
    }
  }
}

/** `committed` is where the checkpoint was seen last. */
type Progress = {
  committed: Position | undefined
  readonly opened: (position: Position) => void
  readonly reached: (position: Position) => void
}

/** Goes through the log from the checkpoint. Ends when the signal aborts or someone has put the checkpoint back; throws on
 *  the first failure. */
const follow = async (options: RunnerOptions, progress: Progress): Promise<void> => {
  const { projection, store, database, metrics, batchSize = batchSizeDefault } = options
  const began = await openCheckpoint(database, projection, store)
  progress.committed = began
  progress.opened(began)
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const subscription = { types: projection.types, after: began, batchSize, signal }
  const batches = store.subscribe(subscription)[Symbol.asyncIterator]()
  let committed = began
  let looked = began
  let idle: Promise<undefined> = Promise.resolve(undefined)
  const reached = (position: Position) => {
    progress.committed = committed
    progress.reached(position)
  }
  const readNext = () => {
    const next = batches.next()
    // It may fail while the batch before is still being written; whoever awaits it then learns so.
    next.catch(() => undefined)
    return next
  }
  try {
    for (let next = readNext(); ; ) {
      const result = await (looked === committed ? next : Promise.race([next, idle]))
      if (result === undefined) {
        committed = await advance(options, committed, { events: [], position: looked })
        if (committed < looked) return
        looked = committed
        idle = pause()
        continue
      }
      if (result.done) return
      next = readNext()
      const batch = result.value
      if (batch.events.length === 0) {
        if (batch.position > looked) looked = batch.position
        reached(looked)
        continue
      }
      const before = committed
      committed = await advance(options, committed, batch)
      if (committed < before) return
      if (committed > looked) looked = committed
      idle = pause()
      metrics?.folded(projection.name, batch.events.length)
      reached(looked)
    }
  } finally {
    stop.abort()
    await batches.return?.()
  }
}

const pause = (): Promise<undefined> => delay(idleMoveMs, undefined, { ref: false })

/** Brings rows and checkpoint from `from` to the batch's position. When another runner was there first, what it has done is
 *  left out and the rest goes on from there. Answers with where the checkpoint is then: before `from` when it was put back. */
const advance = async (options: RunnerOptions, from: Position, batch: Batch): Promise<Position> => {
  const { projection, store, database } = options
  let at = from
  for (;;) {
    if (at < from || at >= batch.position) return at
    const events = batch.events.filter(({ position }) => position > at)
    if (await commit(options, at, { events, position: batch.position })) return batch.position
    const [checkpoint] = await readCheckpoints(database.query, [projection.name])
    if (!checkpoint || checkpoint.version !== projection.version)
      throw new Failure('DATABASE_SCHEMA_NEWER', { projection: projection.name, version: `${checkpoint?.version}` })
    at = store.parsePosition(checkpoint.position)
  }
}

/** Like `write`; before an event that cannot be folded, what lies before it is written, and then it is thrown. */
const commit = async (options: RunnerOptions, from: Position, batch: Batch): Promise<boolean> => {
  const { projection, database } = options
  try {
    return await write(database, projection, from, batch)
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error
    const good = batch.events.slice(0, batch.events.indexOf(error.stored))
    const last = good.at(-1)
    if (last && !(await write(database, projection, from, { events: good, position: last.position }))) return false
    throw error
  }
}

/** One transaction: checkpoint first, which locks out other runners, then the rows that the batch touches, folded in memory.
 *  False, and nothing written, when the checkpoint is not at `from`. */
const write = async (
  database: Pick<Database, 'transaction'>,
  projection: Projection,
  from: Position,
  { events, position }: Batch,
): Promise<boolean> => {
  const keyed = events.map((stored) => keyOf(projection, stored))
  return database.transaction('projections.write', async (query) => {
    if (!(await moveCheckpoint(query, projection, from, position))) return false
    const rows = await loadRows(query, projection, [...new Set(keyed.flatMap(({ key }) => key ?? []))])
    const changed = new Map<string, AnyRow>()
    for (const { stored, event, recorded } of keyed) {
      const row = orPoison(stored, () => foldInto(projection, rows, event, recorded))
      if (row) changed.set(row.id, row)
    }
    if (changed.size > 0)
      await query(`projections.${projection.name}.upsert`, projection.table.upsert, [
        projection.table.encode([...changed.values()]),
      ])
    return true
  })
}

const loadRows = async (query: Query, { name, table }: Projection, ids: readonly string[]) => {
  if (ids.length === 0) return new Map<string, AnyRow>()
  const raw = await query<Record<string, unknown>>(`projections.${name}.select`, table.selectByIds, [ids])
  return new Map(raw.map((columns) => table.decode(columns)).map((row) => [row.id, row]))
}

type Keyed = {
  readonly stored: StoredEvent
  readonly event: DomainEvent
  readonly recorded: Recorded
  readonly key: string | undefined
}

const keyOf = (projection: Projection, stored: StoredEvent): Keyed =>
  orPoison(stored, () => {
    const { event, recorded } = decodeStored(stored)
    return { stored, event, recorded, key: projection.key(event, recorded) }
  })

const orPoison = <T>(stored: StoredEvent, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw new PoisonError(stored, error)
  }
}
