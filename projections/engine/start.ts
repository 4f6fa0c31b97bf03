import { Failure } from '../../domain/errors.ts'
import { createSemaphore } from '../../infra/async/semaphore.ts'
import { createSignal } from '../../infra/async/signal.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log, Metrics } from '../../infra/telemetry.ts'
import { readCheckpoints } from './checkpoints.ts'
import { projectionMetrics } from './metrics.ts'
import type { Projection } from './projection.ts'
import { type RetryResult, retryParked } from './retry.ts'
import { type RunnerState, runProjection } from './runner.ts'
import { type ProjectionsStatus, readStatus } from './status.ts'

/** The interval at which the checkpoints of other processes are read, while a caller waits for them. */
const pollMs = 20
/** The most builds at the same time, because they put much load on the database. */
const buildsAtOnceMax = 2
/** The most parked streams of each read model that a status names. */
const parkedMax = 100

/** The read models of a process, whether they run in it or elsewhere. */
export type Projections = {
  /** Resolves when the live rows of every read model reflect the log up to this position. Throws POSITION_NOT_REACHED
   *  after `timeoutMs`. */
  waitFor(position: Position, timeoutMs: number): Promise<void>
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
  const limitBuilds = createSemaphore(buildsAtOnceMax)
  // While a version is being built here, or has been superseded, another process may keep the live rows up to date.
  const tracker = createPositionTracker(options, (name) => states.get(name)?.state !== 'running')
  const runners = projections.map((projection) =>
    runProjection({
      ...shared,
      metrics,
      projection,
      limitBuilds,
      signal: closing.signal,
      onReached: (position) => tracker.reached(projection.name, position),
      onState: (state) => states.set(projection.name, state),
    }),
  )
  return {
    ...queriesOf(options, states),
    waitFor: tracker.waitFor,
    close: async () => {
      closing.abort()
      tracker.close()
      await Promise.all(runners)
    },
  }
}

/** Follows the read models in a process that only reads: the runners are elsewhere, and their checkpoints are read. */
export const followProjections = (dependencies: Dependencies): Projections => {
  const tracker = createPositionTracker(dependencies, () => true)
  return { ...queriesOf(dependencies, new Map()), waitFor: tracker.waitFor, close: async () => tracker.close() }
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

/** Tracks the position up to which each read model reflects the log, for callers that wait for all of them. The
 *  checkpoints of read models that run elsewhere are read from the database. */
const createPositionTracker = ({ projections, database }: Dependencies, isElsewhere: (name: string) => boolean) => {
  const positions = new Map<string, string>()
  const changed = createSignal()
  let isClosed = false
  let waiters = 0
  let isPolling = false
  const behind = (position: Position) =>
    projections.map(({ name }) => name).filter((name) => (positions.get(name) ?? '') < position)

  const reached = (name: string, position: string) => {
    positions.set(name, position)
    changed.notify()
  }

  const pollElsewhere = async () => {
    if (isPolling) return
    isPolling = true
    while (waiters > 0) {
      const names = projections.map(({ name }) => name).filter(isElsewhere)
      // During an outage the callers wait on, until their time is over.
      const found = names.length === 0 ? [] : await readCheckpoints(database.query, names).catch(() => [])
      for (const { projection, position } of found) if (isElsewhere(projection)) reached(projection, position)
      if (waiters > 0) await sleep(pollMs)
    }
    isPolling = false
  }

  return {
    reached,
    waitFor: async (position: Position, timeoutMs: number): Promise<void> => {
      const untilMs = performance.now() + timeoutMs
      waiters += 1
      try {
        while (behind(position).length > 0) {
          const ms = untilMs - performance.now()
          if (ms <= 0 || isClosed)
            throw new Failure('POSITION_NOT_REACHED', { position, behind: behind(position).join(', ') })
          void pollElsewhere()
          await changed.wait({ ms })
        }
      } finally {
        waiters -= 1
      }
    },
    close: () => {
      isClosed = true
      changed.notify()
    },
  }
}
