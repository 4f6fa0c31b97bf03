import { randomBytes } from 'node:crypto'
import { connectPostgres } from '../infra/postgres.ts'
import { createLog } from '../infra/telemetry.ts'

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
  return { url: url.href, name, drop: () => onServer(server, `drop database if exists ${name} with (force)`) }
}

const onServer = async (url: string, statement: string): Promise<void> => {
  const database = connectPostgres({ url, poolSize: 1, log: createLog({ level: 'silent', format: 'json' }) })
  try {
    await database.query('test.database', statement)
  } finally {
    await database.close()
  }
}
