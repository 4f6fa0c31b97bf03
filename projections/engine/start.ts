import { Failure } from '../../domain/errors.ts'
import { createSemaphore } from '../../infra/async/semaphore.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log, Metrics } from '../../infra/telemetry.ts'
import { readCheckpoints } from './checkpoints.ts'
import { createGroupWriter } from './group-writer.ts'
import { projectionMetrics } from './metrics.ts'
import { createParkedLookup, type ParkedLookup } from './parked-lookup.ts'
import { createPositionTracker, type PositionTracker } from './position-tracker.ts'
import type { Projection } from './projection.ts'
import { type RetryResult, retryParked } from './retry.ts'
import { type RunnerState, runProjection } from './runner.ts'
import { type ProjectionsStatus, readStatus } from './status.ts'

/** The most builds at the same time, because they put much load on the database. */
const buildsAtOnceMax = 2
/** The most parked streams of each read model that a status names. */
const parkedMax = 100

/** The read models of a process, whether they run in it or elsewhere. */
export type Projections = {
  /** Resolves when the live rows of these read models reflect the log up to this position, or those of every one when
   *  none is named. Throws POSITION_NOT_REACHED after `timeoutMs`. */
  waitFor(position: Position, timeoutMs: number, names?: readonly string[]): Promise<void>
  /** Resolves when the log reaches this position. Throws POSITION_AHEAD, DATABASE_UNAVAILABLE. */
  checkExists(position: Position): Promise<void>
  readonly parkedAsOf: ParkedLookup
  /** Reads the status of every read model. Throws DATABASE_UNAVAILABLE. */
  status(): Promise<ProjectionsStatus>
  /** Folds the waiting events of a parked stream. Throws PARKED_STREAM_UNKNOWN, DATABASE_SCHEMA_NEWER. */
  retry(projection: string, stream: string): Promise<RetryResult>
  close(): Promise<void>
}

type Store = Pick<EventStore, 'subscribe' | 'readStream' | 'readAll' | 'start' | 'head' | 'parsePosition' | 'distance'>
type Dependencies = {
  readonly projections: readonly Projection[]
  readonly store: Store
  readonly database: Pick<Database, 'query' | 'transaction'>
}

/** Runs all read models in this process until closed. They are independent: an event that one cannot fold stops no
 *  other. */
export const startProjections = (
  options: Dependencies & {
    readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
    readonly metrics?: Metrics | undefined
    readonly batchSize?: number | undefined
  },
): Projections => {
  const { projections, metrics: registry, ...shared } = options
  const metrics = registry && projectionMetrics(registry)
  const closing = new AbortController()
  const states = new Map<string, RunnerState>()
  const group = createGroupWriter(options.database)
  const limitBuilds = createSemaphore(buildsAtOnceMax)
  // While a version is being built here, or has been superseded, another process may keep the live rows up to date.
  const tracker = trackerOf(options, (name) => states.get(name)?.state !== 'running')
  const runners = projections.map((projection) =>
    runProjection({
      ...shared,
      metrics,
      projection,
      limitBuilds,
      group,
      signal: closing.signal,
      onReached: (position) => tracker.reached(projection.name, position),
      onState: (state) => {
        states.set(projection.name, state)
        if (state.state !== 'running') tracker.moved()
      },
    }),
  )
  return {
    ...queriesOf(options, states),
    ...lookupsOf(options, tracker),
    close: async () => {
      closing.abort()
      tracker.close()
      await Promise.all(runners)
    },
  }
}

/** Follows the read models in a process that only reads: the runners are elsewhere, and their checkpoints are read. */
export const followProjections = (dependencies: Dependencies): Projections => {
  const tracker = trackerOf(dependencies, () => true)
  const close = async () => tracker.close()
  return { ...queriesOf(dependencies, new Map()), ...lookupsOf(dependencies, tracker), close }
}

/** Returns the operations that need no runner. */
const queriesOf = (
  { projections, store, database }: Dependencies,
  states: ReadonlyMap<string, RunnerState>,
): Pick<Projections, 'status' | 'retry'> => ({
  status: () => readStatus({ projections, store, query: database.query, states, parkedMax }),
  retry: async (name, stream) => {
    const projection = projections.find((known) => known.name === name)
    if (!projection) throw new Failure('PARKED_STREAM_UNKNOWN', { projection: name, stream })
    return retryParked({ store, database, projection, stream })
  },
})

/** Returns the operations that need the tracker. */
const lookupsOf = (
  { projections, database: { query } }: Dependencies,
  { waitFor, checkExists }: PositionTracker,
): Pick<Projections, 'waitFor' | 'checkExists' | 'parkedAsOf'> => ({
  waitFor,
  checkExists,
  parkedAsOf: createParkedLookup({ names: projections.map(({ name }) => name), query, waitFor }),
})

/** Returns the tracker of these read models; checkpoints of those that run elsewhere are read from the database. */
const trackerOf = ({ projections, database, store }: Dependencies, isElsewhere: (name: string) => boolean) =>
  createPositionTracker({
    names: projections.map(({ name }) => name),
    isElsewhere,
    readPositions: (names) => readCheckpoints(database.query, names),
    head: store.head,
  })
