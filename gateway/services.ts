import type { Commands } from '../commands/execute.ts'
import type { Chain, ChainDescription } from '../infra/chain/port.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { ParkedTasks } from '../infra/parked-tasks/port.ts'
import type { ReadModels } from '../projections/database.ts'
import type { Projections } from '../projections/engine/start.ts'
import { createStreamFolds, type StreamFolds } from '../projections/engine/stream-folds.ts'
import type { Privileged } from './auth/privilege.ts'

/** What resolvers pass to commands, processes and read functions. It has no logic of its own. */
export type Services = {
  readonly store: EventStore
  readonly commands: Commands
  /** The folds of single streams, which remember where they were. */
  readonly folds: StreamFolds
  /** The database that the read functions of projections/ read from. */
  readonly read: ReadModels
  readonly heartbeats: Pick<Heartbeats, 'acknowledged'>
  readonly readJobLog: Cluster['readLog']
  /** Resolves when these read models have reached this position. Throws POSITION_NOT_REACHED. */
  readonly waitFor: Projections['waitFor']
  /** Resolves when the log reaches this position. Throws POSITION_AHEAD. */
  readonly checkExists: Projections['checkExists']
  /** Resolves to the streams that a read model has parked. */
  readonly parkedAsOf: Projections['parkedAsOf']
  /** The state of the read models, and the retry of their parked streams. */
  readonly projections: Pick<Projections, 'status' | 'retry'>
  /** The timers and handlers that have failed for good. */
  readonly parkedTasks: ParkedTasks
  readonly chain: ChainDescription
  readonly privileged: Privileged
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

/** Returns the services of the gateway, taken from the parts of the platform. */
export const createServices = ({
  store,
  commands,
  read,
  heartbeats,
  cluster,
  projections,
  parkedTasks,
  chain,
  config,
  now,
}: Pick<Services, 'store' | 'commands' | 'read' | 'heartbeats' | 'parkedTasks' | 'now'> & {
  readonly cluster: Pick<Cluster, 'readLog'>
  readonly projections: Pick<Projections, 'status' | 'retry' | 'waitFor' | 'checkExists' | 'parkedAsOf'>
  readonly chain: Pick<Chain, 'description'>
  readonly config: Privileged
}): Services => ({
  store,
  commands,
  folds: createStreamFolds({ store }),
  read,
  heartbeats,
  readJobLog: cluster.readLog,
  waitFor: projections.waitFor,
  checkExists: projections.checkExists,
  parkedAsOf: projections.parkedAsOf,
  projections,
  parkedTasks,
  chain: chain.description,
  privileged: config,
  now,
})
