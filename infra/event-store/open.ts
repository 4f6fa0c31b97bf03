import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { EventStore } from './port.ts'
import { openPostgresEventStore } from './postgres.ts'

export type OpenEventStoreOptions = {
  /** Holds the log itself while `eventStoreUrl` is not set. */
  readonly database: Pick<Database, 'query' | 'transaction' | 'listen'>
  /** An EventStoreDB or KurrentDB server (esdb://…). */
  readonly eventStoreUrl: string | undefined
  readonly log?: Log
  /** Of the engine in PostgreSQL: how long an event of another process may stay unseen when its NOTIFY is lost. */
  readonly pollMs?: number
  /** `false` for who only reads: what is there is left as it is (LOG_NOT_FOUND, DATABASE_SCHEMA_OLDER). */
  readonly migrate?: boolean
}

/** Opens the event store that the settings name: a server of its own, or else the database. Throws what that engine throws. */
export const openEventStore = async ({
  database,
  eventStoreUrl,
  log,
  pollMs,
  migrate = true,
}: OpenEventStoreOptions): Promise<EventStore> => {
  if (eventStoreUrl !== undefined) {
    // Loaded only where it is asked for: its client takes its time.
    const { openEventStoreDb } = await import('./eventstoredb.ts')
    return openEventStoreDb({ url: eventStoreUrl, make: migrate, ...(log && { log }) })
  }
  return openPostgresEventStore({ database, migrate, ...(pollMs === undefined ? {} : { pollMs }) })
}
