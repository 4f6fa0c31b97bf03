import type { Commands, Executed } from '../commands/execute.ts'
import type { ImportedOffers } from '../commands/import-offers.ts'
import type { JobWish } from '../commands/submit-job.ts'
import type { Refusal } from '../domain/errors.ts'
import type { ChainDescription } from '../infra/chain/port.ts'
import type { EventStore, Position } from '../infra/event-store/port.ts'
import type { RentWish } from '../processes/rent-cheapest.ts'
import type { RequestedRental } from '../processes/request-rental.ts'
import type { ReadModels } from '../projections/database.ts'
import type { Projections } from '../projections/engine/start.ts'
import type { Privileged } from './auth/privilege.ts'

/** What the gateway calls. It holds no rule of its own: each of these is a command, a process or a read function. */
export type Services = {
  readonly store: EventStore
  readonly commands: Commands
  /** What the read functions of projections/ read from. */
  readonly read: ReadModels
  readonly rentGpu: (wish: RentWish) => Promise<RequestedRental | Refusal>
  readonly endRental: (rental: string, wallet: string) => Promise<{ readonly position: Position | undefined } | Refusal>
  readonly submitJob: (wish: JobWish) => Promise<({ readonly job: string } & Executed<'job'>) | Refusal>
  readonly importOffers: (request: {
    readonly provider: string
    readonly csv: string
  }) => Promise<ImportedOffers | Refusal>
  readonly readJobLog: (
    handle: { readonly jobId: string; readonly attempt: number },
    offset: number,
    bytesMax: number,
  ) => Promise<{ readonly text: string; readonly nextOffset: number }>
  /** Resolves when every read model has seen this position. Throws POSITION_NOT_REACHED. */
  readonly waitFor: (position: Position, timeoutMs: number) => Promise<void>
  /** How the read models stand, and another try for what they have parked. */
  readonly projections: Pick<Projections, 'status' | 'retry'>
  readonly chain: ChainDescription
  readonly privileged: Privileged
  /** ISO 8601 in UTC. */
  readonly now: () => string
}
