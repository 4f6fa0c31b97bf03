import type { Failure } from '../../domain/errors.ts'
import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import { type Keeper, keepLatest, loadKept } from './keeper.ts'
import { type KeptEvent, refuseLogWithout } from './known-log.ts'
import type { Appended, Capabilities, EventStore } from './port.ts'
import { isLossKnown, positionsOf, storePrefixes } from './position.ts'
import { createKnownInPostgres } from './postgres/known.ts'
import { createReader } from './postgres/reader.ts'
import { checkEventStore, migrateEventStore, readEpochs } from './postgres/schema.ts'
import { createTail } from './postgres/subscription.ts'
import { createWriter } from './postgres/writer.ts'
import { logRetries } from './retry-log.ts'
import { checkAppends } from './validation.ts'

export { beginEpoch } from './postgres/schema.ts'

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
 *  @param onReplaced called when the log was put back or replaced meanwhile: from then on all throws LOG_REPLACED.
 *  @param migrate `false` changes nothing, for read-only callers; then it also throws LOG_NOT_FOUND and
 *  DATABASE_SCHEMA_OLDER.
 *  @param keepers places outside the database for the latest event; a log that lacks it is not opened.
 *  @param announcing left out but in specs.
 *  Throws LOG_REPLACED, DATABASE_SCHEMA_NEWER, and DATABASE_UNAVAILABLE while it opens. */
export const openPostgresEventStore = async ({
  database,
  pollMs = pollMsDefault,
  migrate = true,
  log,
  onReplaced,
  lookPauseMs,
  keepers = [],
  announcing,
}: {
  readonly database: Pick<Database, 'query' | 'transaction' | 'listen'>
  readonly log?: Pick<Log, 'warn'> | undefined
  readonly pollMs?: number
  readonly migrate?: boolean
  readonly onReplaced?: ((failure: Failure) => void) | undefined
  readonly lookPauseMs?: number | undefined
  readonly keepers?: readonly Keeper[] | undefined
  readonly announcing?: { readonly answerMsMax: number } | undefined
}): Promise<EventStore> => {
  const { query, listen } = database
  let storeId = ''
  const known = createKnownInPostgres({ query, storeId: () => storeId, onReplaced, pauseMs: lookPauseMs })
  const kept = await loadKept(keepers)
  // Before the migration: nothing is written to another log.
  const adopted = kept.length > 0 ? await readEpochs(database) : undefined
  const isLost = ({ event }: KeptEvent) => adopted !== undefined && isLossKnown(event.position, 1, adopted)
  const missed = kept.filter((each) => !isLost(each))
  for (const each of missed) await refuseLogWithout(each, known.has, lookPauseMs)
  const identity = await (migrate ? migrateEventStore(database) : checkEventStore(database))
  storeId = identity.storeId
  const positions = positionsOf(`${storePrefixes.postgres}${storeId}`, identity.epochs)
  for (const { event } of missed) known.add(event)
  const stopKeeping = keepLatest(keepers, known, log)
  const reader = createReader({ known, positions })
  const tail = createTail({ known, listen, reader, positions, pollMs, onRetry: logRetries(log), announcing })
  const writer = createWriter({ known, positions, onCommitted: tail.committed })
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
      known.close()
      await writer.close()
      await tail.close()
      await stopKeeping()
    },
  }
}
