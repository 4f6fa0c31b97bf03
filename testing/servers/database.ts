import { randomBytes } from 'node:crypto'
import { connectPostgres, type Database } from '../../infra/postgres.ts'
import { eventually } from '../eventually.ts'
import { silentLog } from '../worlds/silent-log.ts'

/** An SQLSTATE. */
const insufficientPrivilege = '42501'

export type TestDatabase = {
  readonly url: string
  readonly name: string
  /** Connects to it; `drop` closes what is open then. The log is silent, and the pool has 4 connections, unless they
   *  are given. */
  connect(options?: Partial<Omit<Parameters<typeof connectPostgres>[0], 'url'>>): Database
  drop(): Promise<void>
}

/** Creates a database of the caller's own on the test server: empty, or a copy of `template`, which nothing may be
 *  connected to. Throws when TEST_DATABASE_URL names no server. */
export const createTestDatabase = async (options: { template?: string } = {}): Promise<TestDatabase> => {
  const server = process.env.TEST_DATABASE_URL
  if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: specs that need servers are x.int.spec.ts')
  const name = `test_${randomBytes(8).toString('hex')}`
  await onServer(
    server,
    `create database ${name} ${options.template === undefined ? '' : `template ${options.template}`}`,
  )
  const url = new URL(server)
  url.pathname = `/${name}`
  const open = new Set<Database>()
  return {
    url: url.href,
    name,
    connect: (connection) => {
      const connected = connectPostgres({ url: url.href, log: silentLog, poolSize: 4, ...connection })
      const database: Database = {
        ...connected,
        close: () => {
          open.delete(database)
          return connected.close()
        },
      }
      open.add(database)
      return database
    },
    drop: async () => {
      await Promise.all([...open].map((database) => database.close()))
      await dropDatabase(server, name)
    },
  }
}

/** Drops a database with `force`, which ends all sessions in it, but is refused while the server itself vacuums
 *  there. */
const dropDatabase = (server: string, name: string): Promise<void> =>
  eventually('the server to be done with a database', async () => {
    try {
      await onServer(server, `drop database if exists ${name} with (force)`)
      return true
    } catch (error) {
      if ((error as { code?: string }).code !== insufficientPrivilege) throw error
      return false
    }
  }).then(() => undefined)

const onServer = async (url: string, statement: string): Promise<void> => {
  const database = connectPostgres({ url, poolSize: 1, log: silentLog })
  try {
    await database.query('test.database', statement)
  } finally {
    await database.close()
  }
}

/** The statement that ends all other connections of its user to its database. Those of autovacuum belong to no user, and
 *  only a superuser may end them. */
export const endOtherConnections = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and usename = current_user and pid <> pg_backend_pid()`
