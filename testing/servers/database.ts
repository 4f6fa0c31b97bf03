import { randomBytes } from 'node:crypto'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { eventually } from '../eventually.ts'

/** An SQLSTATE. */
const insufficientPrivilege = '42501'

export type TestDatabase = { readonly url: string; readonly name: string; drop(): Promise<void> }

/** A database of the caller's own on the test server: empty, or a copy of `template`, to which nobody may be connected then. */
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
  return { url: url.href, name, drop: () => dropDatabase(server, name) }
}

/** With `force` the server ends all sessions in it, but refuses while one of its own, vacuuming, is among them. */
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
  const database = connectPostgres({ url, poolSize: 1, log: createLog({ level: 'silent', format: 'json' }) })
  try {
    await database.query('test.database', statement)
  } finally {
    await database.close()
  }
}
