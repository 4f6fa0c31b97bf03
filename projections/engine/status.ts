import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import { type Build, type Checkpoint, type ProjectionFailure, readBuilds, readCheckpoints } from './checkpoints.ts'
import { listParked, type ParkedStream } from './parked-streams.ts'
import { type Progress, progressOf } from './progress.ts'
import type { Projection } from './projection.ts'
import type { RunnerState } from './runner.ts'

/** How a read model stands. `version` is the one of this program. */
export type ProjectionStatus = {
  readonly name: string
  readonly version: number
  readonly state: RunnerState['state']
  /** What queries see: undefined before it was built for the first time. `lag` is what is missing to the end of the log, in
   *  what the store counts by: events, or bytes of its log. */
  readonly served: { readonly version: number; readonly position: string; readonly lag: number } | undefined
  /** The version that is being built beside it. */
  readonly building: (Progress & { readonly version: number }) | undefined
  readonly failure: ProjectionFailure | undefined
  /** How many streams are parked, and the first of them by name. */
  readonly parked: { readonly streams: number; readonly first: readonly ParkedStream[] }
}

/** Where the log ends, and how each read model stands. */
export type ProjectionsStatus = { readonly head: Position; readonly projections: readonly ProjectionStatus[] }

/** Asks the database; what only the runners of this process know comes as `states`.
 *  @param parkedMax how many parked streams of each read model to name. */
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
      building: build && { version: build.version, ...wayOf(store, build, head) },
      failure: 'failure' in state ? state.failure : undefined,
      parked: {
        streams,
        first: streams > 0 && parkedMax > 0 ? await listParked(query, { projection }, { limit: parkedMax }) : [],
      },
    }
  })
  return { head, projections: await Promise.all(statuses) }
}

/** What this process knows of its own runner goes first; of others, the database says what it can. */
const stateOf = (
  version: number,
  live: Checkpoint | undefined,
  build: Checkpoint | undefined,
  own: RunnerState | undefined,
): RunnerState => {
  const newest = Math.max(live?.version ?? 0, build?.version ?? 0)
  if (newest > version && own?.state !== 'superseded')
    return { state: 'superseded', failure: { code: 'DATABASE_SCHEMA_NEWER', message: `version ${newest} is there` } }
  if (own) return own
  const failure = (live?.version === version ? live : build)?.failure
  if (failure) return { state: 'waiting', failure }
  if (live?.version === version) return { state: 'running' }
  return { state: build ? 'building' : 'starting' }
}

type Store = Pick<EventStore, 'start' | 'parsePosition' | 'distance'>

const lagOf = (store: Store, position: string, head: Position): number =>
  Math.max(0, store.distance(store.parsePosition(position), head))

const wayOf = (store: Store, build: Build, head: Position): Progress =>
  progressOf(store, head, {
    position: store.parsePosition(build.position),
    beganPosition: store.parsePosition(build.beganPosition),
    beganAtMs: Date.parse(build.beganAt),
    atMs: Date.parse(build.updatedAt),
  })
