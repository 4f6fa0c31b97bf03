import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { Appended, Capabilities, EventStore } from './port.ts'
import { positionsOf } from './position.ts'
import { createReader } from './postgres/reader.ts'
import { checkEventStore, migrateEventStore } from './postgres/schema.ts'
import { createTail } from './postgres/subscription.ts'
import { createWriter } from './postgres/writer.ts'
import { logRetries } from './retry-log.ts'
import { checkAppends } from './validation.ts'

const pollMsDefault = 500

export const postgresCapabilities: Capabilities = {
  appendToMany: true,
  idsKnownWithin: 'log',
  durable: true,
  sizesSetBy: 'port',
  distanceIn: 'events',
}

/** Opens the event store in PostgreSQL, in the schema `log`; creates or migrates the schema first. Under load it needs
 *  about four connections of the database's pool: two writers, readers, and a short NOTIFY; and one to listen. Closing
 *  the store does not close the database.
 *  @param pollMs the longest delay until an event of another process is noticed when its NOTIFY is lost.
 *  @param migrate `false` changes nothing, for read-only callers; then it also throws LOG_NOT_FOUND and
 *  DATABASE_SCHEMA_OLDER.
 *  Throws DATABASE_SCHEMA_NEWER, and DATABASE_UNAVAILABLE while it opens. */
export const openPostgresEventStore = async ({
  database,
  pollMs = pollMsDefault,
  migrate = true,
  log,
}: {
  readonly database: Pick<Database, 'query' | 'transaction' | 'listen'>
  readonly log?: Pick<Log, 'warn'> | undefined
  readonly pollMs?: number
  readonly migrate?: boolean
}): Promise<EventStore> => {
  const { storeId } = await (migrate ? migrateEventStore(database) : checkEventStore(database))
  const { query, listen } = database
  const positions = positionsOf(`pg-${storeId}`)
  const reader = createReader({ query, positions })
  const tail = createTail({ query, listen, reader, positions, pollMs, onRetry: logRetries(log) })
  const writer = createWriter({ query, positions, onCommitted: tail.committed })
  return {
    name: 'postgres',
    capabilities: postgresCapabilities,
    append: async (append) => {
      const outcome = await writer.append(checkAppends([append]))
      return 'outcome' in outcome ? outcome : (outcome[0] as Appended)
    },
    appendToMany: async (appends) => writer.append(checkAppends(appends)),
    readStream: reader.readStream,
    readAll: reader.readAll,
    subscribe: tail.subscribe,
    head: async () => positions.of(await reader.head({ retry: true })),
    start: positions.start,
    parsePosition: (text) => positions.of(positions.numberOf(text)),
    distance: positions.distance,
    close: async () => {
      await writer.close()
      await tail.close()
    },
  }
}
