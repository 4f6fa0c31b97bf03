import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { bySecond, revenueByGpu } from '../analysis/revenue-by-gpu.ts'
import { openEventStoreDb } from '../infra/event-store/eventstoredb.ts'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import type { Database } from '../infra/postgres.ts'
import { createShutdown, type Shutdown } from '../infra/shutdown.ts'
import { createSpecLog } from '../projections/engine/log.testing.ts'
import { writeRentals } from '../projections/engine/market.testing.ts'
import { startEventStoreDbServer } from '../testing/eventstoredb/server.ts'
import { createTestDatabase, type TestDatabase } from '../testing/servers/database.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { exportLog } from './export.ts'
import { openInstallation, secretOf } from './installation.ts'
import { runReplay } from './replay.ts'

const { signal } = new AbortController()
let given: TestDatabase
let database: Database
let shutdown: Shutdown
let folder: string
beforeEach(async () => {
  given = await createTestDatabase()
  database = given.connect()
  shutdown = createShutdown(silentLog)
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-installation-'))
})
afterEach(async () => {
  await shutdown.stop('done')
  await database.close()
  await given.drop()
  await rm(folder, { recursive: true, force: true })
})

const open = (eventStoreUrl?: string) =>
  openInstallation({ config: { dataDir: folder, databaseUrl: given.url, eventStoreUrl }, log: silentLog, shutdown })
const schemas = async () =>
  (
    await database.query<{ name: string }>(
      'spec',
      `select nspname as name from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')`,
    )
  ).map(({ name }) => name)

describe('a database of another schema version is refused and stays unchanged', () => {
  test('without a log', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'LOG_NOT_FOUND' })
    expect(await schemas()).toEqual([])
  })

  test.each([
    ['older', 'delete from log.schema_versions where version = (select max(version) from log.schema_versions)'],
    ['newer', 'insert into log.schema_versions (version) select max(version) + 1 from log.schema_versions'],
  ])('%s', async (age, statement) => {
    await (await openPostgresEventStore({ database })).close()
    await database.query('spec', statement)
    const versions = () => database.query('spec', 'select version from log.schema_versions order by version')
    const before = await versions()
    await expect(open()).rejects.toMatchObject({ code: `DATABASE_SCHEMA_${age.toUpperCase()}` })
    expect(await versions()).toEqual(before)
  })
})

test('with the log in a separate event store, results still go to the database', async () => {
  const server = await startEventStoreDbServer()
  try {
    const platform = await openEventStoreDb({ url: server.url })
    const specLog = createSpecLog(platform)
    await writeRentals(
      specLog,
      [1, 2, 3].map((number) => ({ number, end: 'settled' as const })),
      [],
    )
    const { store } = await open(server.url)
    expect(store.name).not.toBe('postgres')

    const result = await runReplay({
      replay: revenueByGpu(bySecond),
      schema: 'replay_elsewhere',
      period: { asOf: '2026-06-01' },
      about: {},
      store,
      database,
      signal,
    })
    expect(result.events).toBe(9)
    expect(await database.query('spec', 'select sum(charged) as charged from replay_elsewhere.revenue')).toEqual([
      { charged: '1.800000' },
    ])

    const all = await Array.fromAsync(store.readAll())
    const exporting = {
      out: join(folder, 'out'),
      format: 'parquet',
      pseudonymKey: await secretOf({ dataDir: folder }, 'export'),
      store,
      signal,
    } as const
    expect((await exportLog({ ...exporting, to: `${all[9]?.position}` })).events).toBe(10)
    expect((await exportLog(exporting)).manifest).toMatchObject({ events: all.length, position: all.at(-1)?.position })
    await platform.close()
  } finally {
    await shutdown.stop('done')
    await server.stop()
  }
})
