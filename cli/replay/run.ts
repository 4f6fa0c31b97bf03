import { setImmediate } from 'node:timers/promises'
import type { Replay } from '../../analysis/replay.ts'
import type { DomainEvent } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { decodeStored, type EventMetadata } from '../../projections/engine/projection.ts'
import { readHistory } from '../history.ts'
import { type Period, type PeriodOptions, readPeriod } from './period.ts'
import { type BuildingSchema, buildSchema, checkSchemaName, whileClaimed } from './schema.ts'
import { createState, type State } from './state.ts'

const rowsMaxDefault = 100_000

export type ReplayOptions = {
  readonly replay: Replay
  readonly schema: string
  readonly period: PeriodOptions
  /** Further facts about the result, for the comment on the schema. */
  readonly about: Readonly<Record<string, unknown>>
  readonly store: Pick<EventStore, 'start' | 'head' | 'parsePosition' | 'readStream' | 'readAll' | 'distance'>
  readonly database: Database
  readonly onProgress?: (done: number, events: number) => void
  readonly signal: AbortSignal
  /** Roughly how many rows may be in memory; the others lie in the database. */
  readonly rowsMax?: number
  readonly batchSize?: number
}

/** `events` were folded, up to `position`. `begins` is the moment (ISO 8601 in UTC) of the first event of the log where the
 *  period ends before anything that is folded. `leftover` is the reason why the former result still exists under another
 *  name. */
export type ReplayResult = {
  readonly events: number
  readonly position: string
  readonly begins?: string
  readonly leftover: string | undefined
}

/** Folds history into the tables of the replay, in its own schema, and then replaces the result of an earlier run.
 *  Until then, and when it fails or is killed, the former result stays whole.
 *  Throws REPLAY_SCHEMA_FOREIGN, REPLAY_SCHEMA_IN_USE, REPLAY_FOLD_FAILED, REPLAY_ROW_INVALID, EVENT_UNREADABLE,
 *  INPUT_INVALID, POSITION_FOREIGN, and the reason of the signal when it aborts. */
export const runReplay = async (options: ReplayOptions): Promise<ReplayResult> => {
  const { replay, schema, store, database } = options
  checkSchemaName(schema)
  const period = await readPeriod(options.period, store)
  return whileClaimed(database, schema, async () => {
    const building = await buildSchema(database, schema, replay.tables)
    try {
      return await foldInto(building, period, options)
    } catch (error) {
      await building.abandon().catch(() => undefined)
      throw error
    }
  })
}

const foldInto = async (building: BuildingSchema, period: Period, options: ReplayOptions): Promise<ReplayResult> => {
  const { replay, store, signal, onProgress, rowsMax = rowsMaxDefault, batchSize } = options
  const state = createState({ tables: replay.tables, storage: building.storage, rowsMax })
  const types = new Set(replay.types)
  let [events, last] = [0, period.after]
  for await (const batch of readHistory({
    store,
    after: period.after,
    upTo: period.upTo,
    ...(period.allTypes ? {} : { types: replay.types }),
    ...(batchSize === undefined ? {} : { eventsMax: batchSize }),
    signal,
  })) {
    const steps: Step[] = []
    for (const stored of batch.events) {
      if (!(await period.includes(stored))) continue
      last = stored.position
      if (types.has(stored.type)) steps.push(stepOf(replay, period, stored))
    }
    await foldAll(state, steps)
    await state.evict()
    events += steps.length
    onProgress?.(batch.done, events)
  }
  await state.flush()
  // A signal during a long fold is delivered only when the event loop runs.
  await setImmediate()
  signal.throwIfAborted()
  const position = String(period.endsAtMoment ? last : period.upTo)
  const isEmpty = period.endsAtMoment && last === period.after
  const [first] = isEmpty ? await Array.fromAsync(store.readAll({ limit: 1 })) : []
  const leftover = await building.publish({ ...options.about, ...options.period, events, position })
  return { events, position, ...(first && { begins: first.metadata.time }), leftover }
}

type Step = {
  readonly counts: boolean
  readonly fold: Parameters<State['collectMissing']>[0]
  readonly explain: (error: unknown) => unknown
}

const stepOf = (replay: Replay, period: Period, stored: StoredEvent): Step => {
  const { event, metadata } = decodeStored(stored)
  return {
    counts: period.counts(stored),
    fold: (rows) => replay.fold(rows, event, metadata),
    explain: (error) => explain(error, event, metadata),
  }
}

/** Folds a batch. When a fold needs rows that are not in memory, the rows for the rest of the batch are loaded with
 *  them. */
const foldAll = async (state: State, steps: readonly Step[]): Promise<void> => {
  for (let index = 0; index < steps.length; ) {
    const step = steps[index]
    if (step === undefined || attempt(state, step)) {
      index++
      continue
    }
    for (const { fold } of steps.slice(index + 1)) state.collectMissing(fold)
    await state.fetchMissing()
  }
}

const attempt = (state: State, { fold, counts, explain }: Step): boolean => {
  try {
    return state.attempt(fold, counts)
  } catch (error) {
    throw explain(error)
  }
}

/** Returns the file, line and column of the first call in a stack: `fold.ts:3:9`. */
const fileAndLineOf = (stack: string): string | undefined => {
  const call = stack.split('\n').find((line) => /^\s+at /.test(line))
  const place = call
    ?.split(/[/\\(\s]/)
    .at(-1)
    ?.replace(/\)$/, '')
  return place !== undefined && /^[^:]+:\d+:\d+$/.test(place) ? place : undefined
}

/** Returns the error with its event and its line in the analyst's file. */
const explain = (error: unknown, { type }: DomainEvent, { stream, revision, position }: EventMetadata): Failure => {
  const event = { type, stream, revision: String(revision), position }
  if (error instanceof Failure) return new Failure(error.code, { ...error.details, ...event }, error)
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const at = fileAndLineOf(stack)
  return new Failure('REPLAY_FOLD_FAILED', { ...event, reason: message, ...(at && { at }) }, error)
}
