import { Migrator } from '@mikro-orm/migrations'
import { type InferKyselyDB, MikroORM } from '@mikro-orm/postgresql'
import { Failure } from '../domain/errors.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { locks } from '../infra/locks.ts'
import { isConnectionError, prepareSession } from '../infra/postgres.ts'
import type { Log } from '../infra/telemetry.ts'
import { accountsTable } from './accounts.table.ts'
import { createAvailability } from './engine/availability.ts'
import { buildsTable, checkpointsTable } from './engine/checkpoints.ts'
import { parkedStreamsTable } from './engine/parked-streams.ts'
import { progressOf } from './engine/progress.ts'
import type { Projection } from './engine/projection.ts'
import { readSchema } from './engine/table.ts'
import { eventsTable } from './events.table.ts'
import { invoicesTable } from './invoices.table.ts'
import { jobsTable } from './jobs.table.ts'
import { ledgerEntriesTable } from './ledger-entries.table.ts'
import { listingsTable } from './listings.table.ts'
import { migrations } from './migrations/all.ts'
import { paymentsTable } from './payments.table.ts'
import { providersTable } from './providers.table.ts'
import { rentalsTable } from './rentals.table.ts'

const tables = [
  accountsTable,
  buildsTable,
  checkpointsTable,
  eventsTable,
  invoicesTable,
  jobsTable,
  ledgerEntriesTable,
  listingsTable,
  parkedStreamsTable,
  paymentsTable,
  providersTable,
  rentalsTable,
] as const

const kyselyOptions = {
  tableNamingStrategy: 'entity',
  columnNamingStrategy: 'property',
  convertValues: true,
} as const

const connectionsMax = 4
const connectMsMax = 5_000
const retryMs = 100
const retryMsMax = 3_000

const makeOrm = ({ url, log }: { url: string; log: Pick<Log, 'debug'> }) =>
  MikroORM.init({
    clientUrl: url,
    entities: [...tables],
    schema: readSchema,
    extensions: [Migrator],
    migrations: {
      migrationsList: migrations,
      tableName: `${readSchema}.migrations`,
      snapshot: false,
      silent: true,
    },
    pool: { min: 0, max: connectionsMax },
    driverOptions: { connectionTimeoutMillis: connectMsMax, onConnect: prepareSession },
    colors: false,
    logger: (message) => log.debug(message),
  })

/** Returns the names of the read models by the names of their entities and of their tables: queries are composed with
 *  the former and sent with the latter. */
const namesByTable = (projections: readonly Pick<Projection, 'name' | 'table'>[]) =>
  new Map(
    projections.flatMap(({ name, table }) =>
      tables
        .filter(({ meta }) => table.name === `${readSchema}.${meta.tableName}`)
        .flatMap(({ meta }) => [meta.tableName ?? '', String(meta.name)].map((known) => [known, name] as const)),
    ),
  )

type Orm = Awaited<ReturnType<typeof makeOrm>>
const kyselyOf = (orm: Orm) =>
  orm.em
    .fork()
    .getKysely<InferKyselyDB<(typeof tables)[number], typeof kyselyOptions>>(kyselyOptions)
    .withSchema(readSchema)

/** The query builder for the read models, with the names of entities and properties; values have the types of the
 *  rows. */
export type ReadDatabase = ReturnType<typeof kyselyOf>

/** The connection to the read models. */
export type ReadModels = {
  readonly orm: Orm
  /** Runs one query; the label names it for `onQuery`. Retries for a few seconds while the database is unavailable,
   *  then throws DATABASE_UNAVAILABLE. Waits for a few seconds while a read model in the query is built for the first
   *  time, then throws READ_MODEL_BUILDING. */
  run<T>(label: string, query: (db: ReadDatabase) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Connects to the read models and migrates their schema to this version; several processes may do so at once.
 *  @param projections the read models whose tables are not queried before their first build is complete.
 *  @param store measures the progress of a build.
 *  @param onQuery called after each query, with its label and its duration.
 *  Throws DATABASE_SCHEMA_NEWER, DATABASE_UNAVAILABLE. */
export const openReadModels = async ({
  url,
  log,
  projections,
  store,
  onQuery = () => undefined,
}: {
  readonly url: string
  readonly log: Pick<Log, 'debug' | 'info'>
  readonly projections: readonly Pick<Projection, 'name' | 'table'>[]
  readonly store?: Pick<EventStore, 'start' | 'head' | 'parsePosition' | 'distance'>
  readonly onQuery?: (label: string, ms: number) => void
}): Promise<ReadModels> => {
  const orm = await makeOrm({ url, log })
  try {
    for (const name of await migrate(orm)) log.info({ migration: name }, 'the schema of the read models was changed')
  } catch (error) {
    await orm.close(true)
    throw isConnectionError(error) ? new Failure('DATABASE_UNAVAILABLE', {}, error) : error
  }
  const inner = kyselyOf(orm)
  const projectionsByTable = namesByTable(projections)
  const availability = createAvailability({
    projectionOf: (table) => projectionsByTable.get(table),
    readServed: async () =>
      (await inner.selectFrom('Checkpoint').select('projection').execute()).map((row) => row.projection),
    progress: async (projection) => {
      const build = await inner.selectFrom('Build').selectAll().where('projection', '=', projection).executeTakeFirst()
      if (!build || !store) return { state: build ? 'building' : 'not begun' }
      const { percent, secondsLeft } = progressOf(store, await store.head(), {
        position: store.parsePosition(build.position),
        beganPosition: store.parsePosition(build.beganPosition),
        beganAtMs: Date.parse(build.beganAt),
        atMs: Date.parse(build.updatedAt),
      })
      return { percent: String(percent), ...(secondsLeft !== null && { secondsLeft: String(secondsLeft) }) }
    },
  })
  const db = inner.withPlugin({
    transformQuery: ({ node }) => {
      availability.check(node)
      return node
    },
    transformResult: async ({ result }) => result,
  })
  return {
    orm,
    run: async (label, query) => {
      const began = performance.now()
      for (;;) {
        try {
          const answer = await availability.runWhenServed(() => query(db))
          onQuery(label, performance.now() - began)
          return answer
        } catch (error) {
          if (!isConnectionError(error)) throw error
          if (performance.now() - began > retryMsMax) throw new Failure('DATABASE_UNAVAILABLE', { query: label }, error)
          await sleep(retryMs)
        }
      }
    },
    close: () => orm.close(true),
  }
}

/** Runs the migrations that are missing, and resolves to their names. One process migrates; others wait for the lock
 *  and then find nothing to do. */
const migrate = (orm: Orm): Promise<string[]> =>
  orm.em.fork().transactional(async (em) => {
    await em.execute('select pg_advisory_xact_lock(?, ?)', [...locks.migrateReadModels])
    const known = new Set(migrations.map(({ name }) => name))
    const newer = (await orm.migrator.getExecuted()).find(({ name }) => !known.has(name))
    if (newer) throw new Failure('DATABASE_SCHEMA_NEWER', { schema: readSchema, migration: newer.name })
    const done = await orm.migrator.up({ transaction: em.getTransactionContext() })
    return done.map(({ name }) => name)
  })
