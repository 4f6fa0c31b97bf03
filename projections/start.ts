import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../domain/errors.ts'
import type { EventStore, Position } from '../infra/event-store/port.ts'
import type { Database } from '../infra/postgres.ts'
import type { Log, Metrics } from '../infra/telemetry.ts'
import { type ProjectionFailure, readCheckpoints } from './checkpoints.ts'
import { projectionMetrics } from './metrics.ts'
import type { Projection } from './projection.ts'
import { type RunnerState, runProjection } from './runner.ts'

/** How often a process without runners looks how far the others are, while somebody waits. */
const pollMs = 20

export type ProjectionStatus = {
  readonly name: string
  readonly version: number
  /** How far the rows reflect the log; undefined before the projection has begun. */
  readonly position: string | undefined
  readonly state: RunnerState['state']
  readonly failure: ProjectionFailure | undefined
}

export type Projections = {
  /** Resolves when every read model reflects the log up to this position. Throws POSITION_NOT_REACHED after `timeoutMs`. */
  waitFor(position: Position, timeoutMs: number): Promise<void>
  status(): Promise<readonly ProjectionStatus[]>
  close(): Promise<void>
}

/** Runs all read models in this process until closed. They stand and fall alone: what one cannot fold stops no other. */
export const startProjections = (options: {
  readonly projections: readonly Projection[]
  readonly store: Pick<EventStore, 'subscribe' | 'start' | 'parsePosition'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
  readonly metrics?: Metrics | undefined
  readonly batchSize?: number | undefined
}): Projections => {
  const { projections, metrics: registry, ...shared } = options
  const metrics = registry && projectionMetrics(registry)
  const closing = new AbortController()
  const states = new Map<string, RunnerState>()
  const race = createRace(projections)
  const runners = projections.map((projection) =>
    runProjection({
      ...shared,
      metrics,
      projection,
      signal: closing.signal,
      onReached: (position) => race.reached(projection.name, position),
      onState: (state) => states.set(projection.name, state),
    }),
  )
  return {
    waitFor: race.waitFor,
    status: async () =>
      projections.map(({ name, version }) => {
        const state = states.get(name) ?? { state: 'starting' as const }
        const failure = 'failure' in state ? state.failure : undefined
        return { name, version, position: race.positions.get(name), state: state.state, failure }
      }),
    close: async () => {
      closing.abort()
      race.close()
      await Promise.all(runners)
    },
  }
}

/** The same for a process that only reads: the runners are elsewhere, and their checkpoints are looked at. */
export const followProjections = ({
  projections,
  database,
}: {
  readonly projections: readonly Projection[]
  readonly database: Pick<Database, 'query'>
}): Projections => {
  const names = projections.map(({ name }) => name)
  const race = createRace(projections)
  let looking = false
  const look = async () => {
    if (looking) return
    looking = true
    while (race.isWaitedFor()) {
      // An outage is no answer: whoever waits is told when the time is up.
      const checkpoints = await readCheckpoints(database.query, names).catch(() => [])
      for (const { projection, position } of checkpoints) race.reached(projection, position)
      if (race.isWaitedFor()) await delay(pollMs)
    }
    looking = false
  }
  return {
    waitFor: async (position, timeoutMs) => {
      const arrived = race.waitFor(position, timeoutMs)
      void look()
      await arrived
    },
    status: async () => {
      const byName = new Map((await readCheckpoints(database.query, names)).map((found) => [found.projection, found]))
      return projections.map(({ name, version }) => {
        const found = byName.get(name)
        const state = found?.failure ? 'stuck' : found ? 'running' : 'starting'
        return { name, version, position: found?.position, state, failure: found?.failure ?? undefined }
      })
    },
    close: async () => race.close(),
  }
}

/** Who has come how far, and who waits for the last one. */
const createRace = (projections: readonly Projection[]) => {
  const positions = new Map<string, string>()
  const waiting = new Set<{ look(): void; giveUp(): void }>()
  const behind = (position: Position) =>
    projections.map(({ name }) => name).filter((name) => (positions.get(name) ?? '') < position)
  return {
    positions,
    isWaitedFor: () => waiting.size > 0,
    reached: (name: string, position: string) => {
      positions.set(name, position)
      for (const waiter of [...waiting]) waiter.look()
    },
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
      }),
    close: () => {
      for (const waiter of [...waiting]) waiter.giveUp()
    },
  }
}
