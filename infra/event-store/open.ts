import { Failure } from '../../domain/errors.ts'
import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { Keeper } from './keeper.ts'
import type { EventStore } from './port.ts'
import { storePrefixes } from './position.ts'
import { beginEpoch, openPostgresEventStore } from './postgres.ts'

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
  /** Places outside the database of the log for the latest event of the log. A log that lacks it is not opened, and
   *  nothing is written to it: LOG_REPLACED. */
  readonly keepers?: readonly Keeper[]
}

/** Begins an epoch after the last event of the log that the settings select, as an adoption does. All stores of this log
 *  must be closed. */
export const beginEpochOf = async (
  { database, eventStoreUrl }: Pick<OpenEventStoreOptions, 'database' | 'eventStoreUrl'>,
  name: string,
): Promise<void> => {
  if (eventStoreUrl === undefined) return beginEpoch(database, name)
  const { beginEpochOnServer } = await import('./eventstoredb.ts')
  return beginEpochOnServer(eventStoreUrl, name)
}

/** Refuses positions of another engine than the one that the settings select: they were made with EVENTSTORE_URL, and it
 *  is not set now, or the reverse. Throws CONFIG_INVALID. */
export const refuseOtherEngine = (positions: readonly string[], eventStoreUrl: string | undefined): void => {
  const [prefix, why] =
    eventStoreUrl === undefined
      ? [storePrefixes.eventStoreDb, 'it is not set, and the log was on the server of an address before']
      : [storePrefixes.postgres, 'it is set, and the log was in PostgreSQL before']
  const position = positions.find((text) => text.startsWith(prefix))
  if (position !== undefined) throw new Failure('CONFIG_INVALID', { variable: 'EVENTSTORE_URL', why, position })
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
  keepers,
}: OpenEventStoreOptions): Promise<EventStore> => {
  if (eventStoreUrl !== undefined) {
    // Loaded only on demand: its client is slow to import.
    const { openEventStoreDb } = await import('./eventstoredb.ts')
    return openEventStoreDb({ url: eventStoreUrl, create: migrate, onReplaced, keepers, ...(log && { log }) })
  }
  return openPostgresEventStore({
    database,
    migrate,
    log,
    onReplaced,
    keepers,
    ...(pollMs === undefined ? {} : { pollMs }),
  })
}
