// The log and the database of this installation, for tools that work while the platform runs and while it does not. The
// one file under cli/ that wires engines.
import { join } from 'node:path'
import { Failure, isFailure } from '../domain/errors.ts'
import { sleep } from '../infra/async/sleep.ts'
import { readConsumers } from '../infra/bus/ahead.ts'
import type { Config } from '../infra/config.ts'
import { openDataFolder } from '../infra/data-folder.ts'
import {
  dropClientVariables,
  embeddedPostgresUrl,
  explainRefusal,
  postgresStopMs,
  startEmbeddedPostgres,
} from '../infra/embedded-postgres.ts'
import { type Keeper, keepInDatabase, keepInFolder, loadKept } from '../infra/event-store/keeper.ts'
import type { KnownEvent } from '../infra/event-store/known-log.ts'
import { beginEpochOf, openEventStore, refuseOtherEngine } from '../infra/event-store/open.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { nextEpochName } from '../infra/event-store/position.ts'
import { readOrCreateSecret } from '../infra/keys/file.ts'
import { checkDatabase, connectPostgres, type Database, migrateOperations } from '../infra/postgres.ts'
import type { Shutdown } from '../infra/shutdown.ts'
import { exists, makeFolders } from '../infra/system/files.ts'
import type { Log } from '../infra/telemetry.ts'

export { readConsumers, setConsumer } from '../infra/bus/ahead.ts'
export { readCursors, requestRescan, rescanProgress } from '../infra/chain/rescans.ts'
export type { KnownEvent } from '../infra/event-store/known-log.ts'
export { identityStream } from '../infra/event-store/position.ts'
export { readRentalTimers, removeTimer } from '../infra/task-queue.ts'

const connectionsMax = 6
const waitMsMax = 30_000
/** How long the server of another process may take to answer before the owner of the data folder is looked up again. */
const answerMsMax = 1_000
const retryMs = 100

export type Installation = {
  readonly databaseUrl: string
  readonly database: Database
  readonly store: EventStore
  /** `own`: a PostgreSQL that was started for this tool and ends with it. `running`: that of a platform running on the
   *  data folder. `given`: that of DATABASE_URL. */
  readonly server: 'own' | 'running' | 'given'
}

type Options = {
  readonly config: Pick<Config, 'dataDir' | 'databaseUrl' | 'eventStoreUrl'>
  readonly log: Log
  /** Closes everything that was opened. */
  readonly shutdown: Pick<Shutdown, 'add' | 'signal'>
}

/** Opens the log and the database of the settings, and changes nothing in them: no schema is made or migrated.
 *  Throws CONFIG_INVALID, DATABASE_UNREACHABLE, EVENT_STORE_UNREACHABLE, LOG_NOT_FOUND, DATABASE_SCHEMA_OLDER, DATABASE_SCHEMA_NEWER, DATABASE_UNAVAILABLE, and the errors of starting
 *  the embedded PostgreSQL. */
export const openInstallation = async (options: Options): Promise<Installation> => {
  const { config, log, shutdown } = options
  const reached = config.databaseUrl === undefined ? await reachEmbedded(options) : await reachGiven(options)
  const { database } = reached
  const store = await openEventStore({ database, eventStoreUrl: config.eventStoreUrl, log, migrate: false })
  shutdown.add('event store', () => store.close())
  return { ...reached, store }
}

/** A log that can be adopted: no other process works with it. */
export type AdoptableLog = Omit<Installation, 'server'> & {
  /** The latest events that were kept outside the log's database. */
  readonly kept: readonly KnownEvent[]
  /** Begins an epoch. Resolves to its name, and to the log with it. */
  readonly adopt: (nowMs: number) => Promise<{ readonly epoch: string; readonly store: EventStore }>
  /** Forgets the latest events that were kept: the last step, so that an adoption that was killed can be repeated. */
  readonly forgetKept: () => Promise<void>
}

/** Opens the log and the database of the settings for an adoption: their schemas are made or migrated, since a backup
 *  may be of an older version. Throws LOG_IN_USE, CONFIG_INVALID where the settings select another engine than that of the
 *  log that was known, before anything of a log is made, and what `openInstallation` throws. */
export const openAdoptable = async (options: Options): Promise<AdoptableLog> => {
  const { config, log, shutdown } = options
  const { eventStoreUrl } = config
  const reached = config.databaseUrl === undefined ? await reachEmbedded(options) : await reachGiven(options)
  const { database, databaseUrl, server } = reached
  if (server === 'running') throw new Failure('LOG_IN_USE', { folder: config.dataDir })
  await refuseOthers(database, shutdown.signal)
  await migrateOperations(database)
  const keepers: readonly Keeper[] = [keepInFolder(config.dataDir), keepInDatabase(database)]
  const kept = (await loadKept(keepers)).map(({ event }) => event)
  const known = [...kept, ...(await readConsumers(database))]
  refuseOtherEngine(
    known.map(({ position }) => position),
    eventStoreUrl,
  )
  const open = () => openEventStore({ database, eventStoreUrl, log })
  const store = await open()
  let current = store
  shutdown.add('event store', () => current.close())
  return {
    database,
    databaseUrl,
    store,
    kept,
    adopt: async (nowMs) => {
      const head = await store.head()
      await store.close()
      const epoch = nextEpochName(nowMs, [head, ...kept.map(({ position }) => position)])
      await beginEpochOf({ database, eventStoreUrl }, epoch)
      current = await open()
      return { epoch, store: current }
    },
    forgetKept: async () => {
      for (const { forget } of keepers) await forget()
    },
  }
}

/** Throws LOG_IN_USE while other processes are connected. One that has just ended may be listed for a moment. */
const refuseOthers = async ({ query }: Pick<Database, 'query'>, signal: AbortSignal): Promise<void> => {
  const until = performance.now() + answerMsMax
  for (;;) {
    const [others] = await query<{ count: number }>('installation.others', OTHERS)
    if (!others?.count) return
    if (performance.now() > until) throw new Failure('LOG_IN_USE', { connections: String(others.count) })
    await sleep(retryMs, signal)
  }
}

/** Processes of the platform connect under this name. */
const OTHERS = `select count(*)::int as count from pg_stat_activity
  where datname = current_database() and application_name = 'neuralmesh' and pid <> pg_backend_pid()`

type Reached = Omit<Installation, 'store'>

const reachGiven = async ({ config, log, shutdown }: Options): Promise<Reached> => {
  const databaseUrl = config.databaseUrl ?? ''
  await checkDatabase({ url: databaseUrl, log, waitMs: waitMsMax, signal: shutdown.signal })
  const database = connectPostgres({ url: databaseUrl, log, poolSize: connectionsMax })
  shutdown.add('database', () => database.close())
  await database.waitUntilReady(waitMsMax)
  return { databaseUrl, database, server: 'given' }
}

/** Tries alternately to start PostgreSQL and to reach a running one: the owner of the data folder runs it, is about to
 *  start it, or has just stopped. */
const reachEmbedded = async (options: Options): Promise<Reached> => {
  dropClientVariables(process.env)
  const { dataDir } = options.config
  // A folder that may not be entered holds no log for this user either.
  if (!(await exists(join(dataDir, 'postgres')).catch(() => false)))
    throw new Failure('LOG_NOT_FOUND', { folder: dataDir })
  const until = performance.now() + waitMsMax
  for (;;) {
    options.shutdown.signal.throwIfAborted()
    try {
      return await startOwn(options)
    } catch (error) {
      if (!isFailure(error, 'DATA_FOLDER_IN_USE')) throw error
    }
    try {
      return await reachRunning(options)
    } catch (error) {
      if (!isFailure(error, 'DATABASE_UNAVAILABLE') || performance.now() > until) throw error
    }
    await sleep(retryMs, options.shutdown.signal)
  }
}

const startOwn = async ({ config, log, shutdown }: Options): Promise<Reached> => {
  const folder = await openDataFolder(config.dataDir, log)
  shutdown.add('data folder', () => folder.close())
  const server = await startEmbeddedPostgres({ folder: folder.path, log })
  shutdown.add('embedded PostgreSQL', (_, msMax) => server.close(msMax), postgresStopMs)
  const database = connectPostgres({ url: server.url, log, poolSize: connectionsMax })
  shutdown.add('database', () => database.close())
  await database.waitUntilReady(waitMsMax).catch((error: unknown) => explainRefusal(config.dataDir, error))
  return { databaseUrl: server.url, database, server: 'own' }
}

const reachRunning = async ({ config, log, shutdown }: Options): Promise<Reached> => {
  const databaseUrl = await embeddedPostgresUrl(config.dataDir)
  if (databaseUrl === undefined)
    throw new Failure('DATABASE_UNAVAILABLE', { reason: 'the platform on this data folder has no embedded PostgreSQL' })
  const database = connectPostgres({ url: databaseUrl, log, poolSize: connectionsMax })
  try {
    await database.waitUntilReady(answerMsMax)
  } catch (error) {
    await database.close()
    explainRefusal(config.dataDir, error)
  }
  shutdown.add('database', () => database.close())
  return { databaseUrl, database, server: 'running' }
}

/** Resolves to the secret of that name in the data folder of this installation; makes it the first time.
 *  Throws KEY_FILE_INVALID and DATA_FOLDER_UNREACHABLE. */
export const secretOf = async ({ dataDir }: Pick<Config, 'dataDir'>, name: string): Promise<string> => {
  try {
    await makeFolders(dataDir)
    return await readOrCreateSecret(join(dataDir, 'keys', name))
  } catch (error) {
    if (error instanceof Failure) throw error
    const { message } = error as Error
    throw new Failure('DATA_FOLDER_UNREACHABLE', { folder: join(dataDir, 'keys'), reason: message }, error)
  }
}
