import type { Commands } from '../commands/execute.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { Chain, ChainCursor, Rescans } from '../infra/chain/port.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import type { Config } from '../infra/config.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { UsedNonces } from '../infra/nonces/port.ts'
import type { ParkedTasks } from '../infra/parked-tasks/port.ts'
import type { Database } from '../infra/postgres.ts'
import type { Shutdown } from '../infra/shutdown.ts'
import type { KeptAddress } from '../infra/system/listening.ts'
import type { Log, Metrics } from '../infra/telemetry.ts'
import type { Cancel, Schedule } from '../processes/timers.ts'
import type { ReadModels } from '../projections/database.ts'
import type { Projections } from '../projections/engine/start.ts'

/** Why all parts are closed after an error that nothing has caught. */
export const faultReason = 'a fault that nothing has caught'

/** The parts that all roles share. A role takes the parts that it needs, and registers with `shutdown` what it
 *  starts. */
export type Platform = {
  readonly config: Config
  /** The address of the gateway, where this program has that role and has taken it already. */
  readonly address?: KeptAddress | undefined
  readonly log: Log
  readonly metrics: Metrics
  readonly shutdown: Shutdown
  readonly database: Database
  readonly store: EventStore
  readonly commands: Commands
  readonly read: ReadModels
  readonly projections: Projections
  readonly bus: Bus
  readonly heartbeats: Heartbeats
  readonly chain: Chain
  readonly chainCursor: ChainCursor
  readonly rescans: Rescans
  readonly cluster: Cluster
  readonly schedule: Schedule
  readonly cancel: Cancel
  readonly parkedTasks: ParkedTasks
  /** The secret that signs the access tokens. */
  readonly jwtSecret: string
  readonly usedNonces: UsedNonces
  /** ISO 8601 in UTC. */
  readonly now: () => string
}
