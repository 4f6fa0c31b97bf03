import type { Failure } from '../../domain/errors.ts'
import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { EventStore } from './port.ts'
import { openPostgresEventStore } from './postgres.ts'

export type OpenEventStoreOptions = {
  /** Stores the log when `eventStoreUrl` is not set. */
  readonly database: Pick<Database, 'query' | 'transaction' | 'listen'>
  /** An EventStoreDB or KurrentDB server (esdb://…). */
  readonly eventStoreUrl: string | undefined
  readonly log?: Log
  /** For the engine in PostgreSQL: the longest delay until an event of another process is noticed when its NOTIFY is
   *  lost. */
  readonly pollMs?: number
  /** `false` for read-only callers: changes nothing, and throws LOG_NOT_FOUND or DATABASE_SCHEMA_OLDER instead. */
  readonly migrate?: boolean
  /** Called once, when the log turns out to be put back to an earlier state or replaced: from then on everything throws
   *  this LOG_REPLACED, and nothing is written. */
  readonly onReplaced?: (failure: Failure) => void
}

/** Opens the event store that the settings select: a separate server, or else the database. Throws the failures of
 *  that engine. */
export const openEventStore = async ({
  database,
  eventStoreUrl,
  log,
  pollMs,
  migrate = true,
  onReplaced,
}: OpenEventStoreOptions): Promise<EventStore> => {
  if (eventStoreUrl !== undefined) {
    // Loaded only on demand: its client is slow to import.
    const { openEventStoreDb } = await import('./eventstoredb.ts')
    return openEventStoreDb({ url: eventStoreUrl, create: migrate, onReplaced, ...(log && { log }) })
  }
  return openPostgresEventStore({ database, migrate, log, onReplaced, ...(pollMs === undefined ? {} : { pollMs }) })
}
