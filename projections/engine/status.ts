import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import { type Build, type Checkpoint, type ProjectionFailure, readBuilds, readCheckpoints } from './checkpoints.ts'
import { listParked, type ParkedStream } from './parked-streams.ts'
import { type Progress, progressOf } from './progress.ts'
import type { Projection } from './projection.ts'
import type { RunnerState } from './runner.ts'

/** The status of a read model. `version` is the one of this program. */
export type ProjectionStatus = {
  readonly name: string
  readonly version: number
  readonly state: RunnerState['state']
  /** What queries read: undefined before the first build is complete. `lag` is the distance to the end of the log in
   *  the unit of the store: events, or bytes of its log. */
  readonly served: { readonly version: number; readonly position: string; readonly lag: number } | undefined
  /** The version that is being built beside the live one. */
  readonly building: (Progress & { readonly version: number }) | undefined
  readonly failure: ProjectionFailure | undefined
  /** The number of parked streams, and the first of them by name. */
  readonly parked: { readonly streams: number; readonly first: readonly ParkedStream[] }
}

/** The end of the log, and the status of each read model. */
export type ProjectionsStatus = { readonly head: Position; readonly projections: readonly ProjectionStatus[] }

/** Reads the status of the read models from the database, and from `states` for the runners of this process.
 *  @param parkedMax the most parked streams of each read model that are named. */
export const readStatus = async (options: {
  readonly projections: readonly Projection[]
  readonly store: Pick<EventStore, 'head' | 'start' | 'parsePosition' | 'distance'>
  readonly query: Query
  readonly states: ReadonlyMap<string, RunnerState>
  readonly parkedMax: number
}): Promise<ProjectionsStatus> => {
  const { projections, store, query, states, parkedMax } = options
  const names = projections.map(({ name }) => name)
  const [checkpoints, builds, head] = await Promise.all([
    readCheckpoints(query, names),
    readBuilds(query, names),
    store.head(),
  ])
  const statuses = projections.map(async (projection): Promise<ProjectionStatus> => {
    const { name, version } = projection
    const live = checkpoints.find((found) => found.projection === name)
    const build = builds.find((found) => found.projection === name)
    const streams = [live, build].reduce((sum, own) => sum + (own?.version === version ? own.parked : 0), 0)
    const state = stateOf(version, live, build, states.get(name))
    const served = live && { version: live.version, position: live.position, lag: lagOf(store, live.position, head) }
    return {
      name,
      version,
      state: state.state,
      served,
      building: build && { version: build.version, ...buildProgressOf(store, build, head) },
      failure: 'failure' in state ? state.failure : undefined,
      parked: {
        streams,
        first: streams > 0 && parkedMax > 0 ? await listParked(query, { projection }, { limit: parkedMax }) : [],
      },
    }
  })
  return { head, projections: await Promise.all(statuses) }
}

/** Returns the state of the runner in this process if there is one; else what follows from the rows in the database. */
const stateOf = (
  version: number,
  live: Checkpoint | undefined,
  build: Checkpoint | undefined,
  own: RunnerState | undefined,
): RunnerState => {
  const newest = Math.max(live?.version ?? 0, build?.version ?? 0)
  if (newest > version && own?.state !== 'superseded')
    return { state: 'superseded', failure: { code: 'DATABASE_SCHEMA_NEWER', message: `version ${newest} exists` } }
  if (own) return own
  const failure = (live?.version === version ? live : build)?.failure
  if (failure) return { state: 'waiting', failure }
  if (live?.version === version) return { state: 'running' }
  return { state: build ? 'building' : 'starting' }
}

type Store = Pick<EventStore, 'start' | 'parsePosition' | 'distance'>

const lagOf = (store: Store, position: string, head: Position): number =>
  Math.max(0, store.distance(store.parsePosition(position), head))

const buildProgressOf = (store: Store, build: Build, head: Position): Progress =>
  progressOf(store, head, {
    position: store.parsePosition(build.position),
    beganPosition: store.parsePosition(build.beganPosition),
    beganAtMs: Date.parse(build.beganAt),
    atMs: Date.parse(build.updatedAt),
  })
