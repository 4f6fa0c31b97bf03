import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log, Metrics } from '../../infra/telemetry.ts'
import { readCheckpoints } from './checkpoints.ts'
import { projectionMetrics } from './metrics.ts'
import type { Projection } from './projection.ts'
import { type Retried, retryParked } from './retry.ts'
import { type RunnerState, runProjection } from './runner.ts'
import { type ProjectionsStatus, readStatus } from './status.ts'

/** How often a process looks how far the runners of others are, while somebody waits. */
const pollMs = 20
/** Builds ask much of the database, and wait for each other. */
const buildsAtOnceMax = 2
/** So many parked streams of each read model are named. */
const parkedMax = 100

export type Projections = {
  /** Resolves when every read model, as it is read, reflects the log up to this position. Throws POSITION_NOT_REACHED after
   *  `timeoutMs`. */
  waitFor(position: Position, timeoutMs: number): Promise<void>
  /** Throws DATABASE_UNAVAILABLE. */
  status(): Promise<ProjectionsStatus>
  /** Folds what a parked stream holds back. Throws PARKED_STREAM_UNKNOWN, DATABASE_SCHEMA_NEWER. */
  retry(projection: string, stream: string): Promise<Retried>
  close(): Promise<void>
}

type Store = Pick<EventStore, 'subscribe' | 'readStream' | 'start' | 'head' | 'parsePosition' | 'distance'>
type Parts = {
  readonly projections: readonly Projection[]
  readonly store: Store
  readonly database: Pick<Database, 'query' | 'transaction'>
}

/** Runs all read models in this process until closed. They stand and fall alone: what one cannot fold stops no other. */
export const startProjections = (
  options: Parts & {
    readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
    readonly metrics?: Metrics | undefined
    readonly batchSize?: number | undefined
  },
): Projections => {
  const { projections, metrics: registry, ...shared } = options
  const metrics = registry && projectionMetrics(registry)
  const closing = new AbortController()
  const states = new Map<string, RunnerState>()
  const takeTurn = createTurns(buildsAtOnceMax)
  // While a version is being built here, or has been superseded, somebody else may keep what is read up to date.
  const race = createRace(options, (name) => states.get(name)?.state !== 'running')
  const runners = projections.map((projection) =>
    runProjection({
      ...shared,
      metrics,
      projection,
      takeTurn,
      signal: closing.signal,
      onReached: (position) => race.reached(projection.name, position),
      onState: (state) => states.set(projection.name, state),
    }),
  )
  return {
    ...questions(options, states),
    waitFor: race.waitFor,
    close: async () => {
      closing.abort()
      race.close()
      await Promise.all(runners)
    },
  }
}

/** The same for a process that only reads: the runners are elsewhere, and their checkpoints are looked at. */
export const followProjections = (parts: Parts): Projections => {
  const race = createRace(parts, () => true)
  return { ...questions(parts, new Map()), waitFor: race.waitFor, close: async () => race.close() }
}

const questions = (
  { projections, store, database }: Parts,
  states: ReadonlyMap<string, RunnerState>,
): Pick<Projections, 'status' | 'retry'> => ({
  status: () => readStatus({ projections, store, query: database.query, states, parkedMax }),
  retry: async (name, stream) => {
    const projection = projections.find((known) => known.name === name)
    if (!projection) throw new Failure('PARKED_STREAM_UNKNOWN', { projection: name, stream })
    return retryParked({ store, database, projection, stream })
  },
})

/** Runs at most so many pieces of work at once, in the order in which they came. */
const createTurns = (atOnceMax: number) => {
  const waiting: (() => void)[] = []
  let free = atOnceMax
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free += 1
    }
  }
}

/** Who has come how far, and who waits for the last one. Of those that are `elsewhere` the checkpoints are looked at. */
const createRace = ({ projections, database }: Parts, isElsewhere: (name: string) => boolean) => {
  const positions = new Map<string, string>()
  const waiting = new Set<{ look(): void; giveUp(): void }>()
  let looking = false
  const behind = (position: Position) =>
    projections.map(({ name }) => name).filter((name) => (positions.get(name) ?? '') < position)

  const reached = (name: string, position: string) => {
    positions.set(name, position)
    for (const waiter of [...waiting]) waiter.look()
  }

  const lookElsewhere = async () => {
    if (looking) return
    looking = true
    while (waiting.size > 0) {
      const names = projections.map(({ name }) => name).filter(isElsewhere)
      // An outage is no answer: whoever waits is told when the time is up.
      const found = names.length === 0 ? [] : await readCheckpoints(database.query, names).catch(() => [])
      for (const { projection, position } of found) if (isElsewhere(projection)) reached(projection, position)
      if (waiting.size > 0) await delay(pollMs)
    }
    looking = false
  }

  return {
    reached,
    waitFor: (position: Position, timeoutMs: number) =>
      new Promise<void>((resolve, reject) => {
        if (behind(position).length === 0) return resolve()
        const waiter = {
          look: () => {
            if (behind(position).length > 0) return
            leave()
            resolve()
          },
          giveUp: () => {
            leave()
            reject(new Failure('POSITION_NOT_REACHED', { position, behind: behind(position).join(', ') }))
          },
        }
        const timer = setTimeout(waiter.giveUp, timeoutMs)
        const leave = () => {
          clearTimeout(timer)
          waiting.delete(waiter)
        }
        waiting.add(waiter)
        void lookElsewhere()
      }),
    close: () => {
      for (const waiter of [...waiting]) waiter.giveUp()
    },
  }
}
