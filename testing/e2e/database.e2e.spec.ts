// The platform on a database as people have it, and with an environment that speaks of another one.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { connectPostgres } from '../../infra/postgres.ts'
import { runNode } from '../children.ts'
import { createTestDatabase, type TestDatabase } from '../servers/database.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'
import { createListing, createRenter } from '../worlds/renter.ts'
import { silentLog } from '../worlds/silent-log.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
let home: TestDatabase
beforeAll(async () => {
  folder = await createTestFolder()
  home = await createTestDatabase()
})
afterAll(async () => {
  await stopTestPlatforms()
  await home.drop()
  await folder.remove()
})

const rentAndReturn = async (url: string): Promise<string> => {
  const listing = await createListing(url, 2, '3')
  const { client } = await createRenter(url, 9_000_000n)
  const request = { listing, seconds: 3600, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
  const { id } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
  const { rental } = await client.mutate<{ rental: { status: string } }>(
    'endRental',
    { rental: id },
    'position rental { status }',
  )
  await client.close()
  return rental.status
}

test('one rental on a database whose settings differ from all defaults', async () => {
  const admin = connectPostgres({ url: process.env.TEST_DATABASE_URL ?? '', log: silentLog, poolSize: 1 })
  const settings = {
    default_transaction_isolation: 'serializable',
    DateStyle: 'SQL, DMY',
    IntervalStyle: 'sql_standard',
    TimeZone: 'Asia/Kathmandu',
    bytea_output: 'escape',
    extra_float_digits: '-15',
    array_nulls: 'off',
    standard_conforming_strings: 'off',
    synchronous_commit: 'off',
    statement_timeout: '200',
    lock_timeout: '50',
    idle_session_timeout: '500',
    search_path: 'nowhere',
  }
  for (const [name, value] of Object.entries(settings))
    await admin.query('test.set', `alter database ${home.name} set ${name} = '${value}'`)
  await admin.close()
  const platform = await startTestPlatform(join(folder.path, 'set'), { DATABASE_URL: home.url })
  expect(await rentAndReturn(platform.url)).toBe('settled')
  await platform.stop()
})

test('the embedded database does not read the variables of PostgreSQL clients', async () => {
  const platform = await startTestPlatform(join(folder.path, 'variables'), {
    PGSSLMODE: 'require',
    PGOPTIONS: '-c no_such_setting=1',
    PGHOST: 'no-such-host.invalid',
    PGPORT: '1',
    PGUSER: 'somebody',
    PGPASSWORD: 'wrong',
    PGDATABASE: 'absent',
    PGSERVICE: 'none',
    PGREPLICATION: 'true',
    PGTZ: 'Asia/Kolkata',
  })
  expect(await rentAndReturn(platform.url)).toBe('settled')
  await platform.stop()
})

describe('a database that cannot work ends the start at once, with the fix', () => {
  test.each<[string, (url: URL) => void]>([
    ['an absent database', (url) => (url.pathname = '/absent')],
    ['a wrong password', (url) => (url.password = 'wrong')],
    ['a wrong sslmode', (url) => url.searchParams.set('sslmode', 'require')],
  ])('%s', async (_, change) => {
    const url = new URL(home.url)
    change(url)
    const { code, errors } = await runNode(['main.ts'], {
      DATA_DIR: join(folder.path, 'refused'),
      DATABASE_URL: url.href,
      PORT: '0',
      CHAIN_PORT: '0',
    })
    expect(code).toBe(1)
    expect(errors).toMatch(/\nCONFIG_INVALID: .*variable: DATABASE_URL, why: .*, fix: /)
    expect(errors).not.toContain('    at ')
  })
})
