// The log and the database of this installation, for tools that work beside the platform: while it runs, and while it does
// not. The one place under cli/ that wires engines.
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../domain/errors.ts'
import type { Config } from '../infra/config.ts'
import { openDataFolder } from '../infra/data-folder.ts'
import { embeddedPostgresUrl, startEmbeddedPostgres } from '../infra/embedded-postgres.ts'
import { openEventStore } from '../infra/event-store/open.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { readOrCreateSecret } from '../infra/keys/file.ts'
import { connectPostgres, type Database } from '../infra/postgres.ts'
import type { Shutdown } from '../infra/shutdown.ts'
import type { Log } from '../infra/telemetry.ts'

const connectionsMax = 6
const waitMsMax = 30_000
/** How long a server of somebody else may take to answer before we look again who holds the data folder. */
const answerMsMax = 1_000
const retryMs = 100

export type Installation = {
  readonly databaseUrl: string
  readonly database: Database
  readonly store: EventStore
  /** `own`: PostgreSQL was started for this tool and ends with it. `running`: that of a platform that runs on the data
   *  folder. `given`: DATABASE_URL. */
  readonly server: 'own' | 'running' | 'given'
}

type Options = {
  readonly config: Pick<Config, 'dataDir' | 'databaseUrl' | 'eventStoreUrl'>
  readonly log: Log
  /** Closes what was opened. */
  readonly shutdown: Pick<Shutdown, 'add' | 'signal'>
}

/** Opens what the settings name, and changes nothing in it: no schema is made or migrated.
 *  Throws LOG_NOT_FOUND, DATABASE_SCHEMA_OLDER, DATABASE_SCHEMA_NEWER, DATABASE_UNAVAILABLE, and what starting the embedded
 *  PostgreSQL throws. */
export const openInstallation = async (options: Options): Promise<Installation> => {
  const { config, log, shutdown } = options
  const reached = config.databaseUrl === undefined ? await reachEmbedded(options) : await reachGiven(options)
  const { database } = reached
  const store = await openEventStore({ database, eventStoreUrl: config.eventStoreUrl, log, migrate: false })
  shutdown.add('event store', () => store.close())
  return { ...reached, store }
}

type Reached = Omit<Installation, 'store'>

const reachGiven = async ({ config, log, shutdown }: Options): Promise<Reached> => {
  const databaseUrl = config.databaseUrl ?? ''
  const database = connectPostgres({ url: databaseUrl, log, poolSize: connectionsMax })
  shutdown.add('database', () => database.close())
  await database.waitUntilReady(waitMsMax)
  return { databaseUrl, database, server: 'given' }
}

/** Who holds the data folder runs PostgreSQL on it, or is about to, or has just stopped: so both ways are tried in turn. */
const reachEmbedded = async (options: Options): Promise<Reached> => {
  const { dataDir } = options.config
  const isMade = await stat(join(dataDir, 'postgres')).then(
    () => true,
    () => false,
  )
  if (!isMade) throw new Failure('LOG_NOT_FOUND', { folder: dataDir })
  const until = performance.now() + waitMsMax
  for (;;) {
    options.shutdown.signal.throwIfAborted()
    try {
      return await startOwn(options)
    } catch (error) {
      if (!isCode(error, 'DATA_FOLDER_IN_USE')) throw error
    }
    try {
      return await reachRunning(options)
    } catch (error) {
      if (!isCode(error, 'DATABASE_UNAVAILABLE') || performance.now() > until) throw error
    }
    await delay(retryMs)
  }
}

const isCode = (error: unknown, code: Failure['code']): boolean => error instanceof Failure && error.code === code

const startOwn = async ({ config, log, shutdown }: Options): Promise<Reached> => {
  const folder = await openDataFolder(config.dataDir)
  shutdown.add('data folder', () => folder.close())
  const server = await startEmbeddedPostgres({ folder: folder.path, log })
  shutdown.add('embedded PostgreSQL', () => server.close())
  const database = connectPostgres({ url: server.url, log, poolSize: connectionsMax })
  shutdown.add('database', () => database.close())
  await database.waitUntilReady(waitMsMax)
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
    throw error
  }
  shutdown.add('database', () => database.close())
  return { databaseUrl, database, server: 'running' }
}

/** The secret of this installation that is kept under this name in its data folder, made the first time.
 *  Throws DATA_FOLDER_UNREACHABLE. */
export const secretOf = async ({ dataDir }: Pick<Config, 'dataDir'>, name: string): Promise<string> => {
  try {
    await mkdir(dataDir, { recursive: true })
    return await readOrCreateSecret(join(dataDir, 'keys', name))
  } catch (error) {
    const { message } = error as Error
    throw new Failure('DATA_FOLDER_UNREACHABLE', { folder: join(dataDir, 'keys'), reason: message }, error)
  }
}
