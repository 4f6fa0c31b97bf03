import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../domain/errors.ts'
import { createServerLog } from '../../testing/eventstoredb/log.ts'
import { startEventStoreDbServer } from '../../testing/eventstoredb/server.ts'
import { eventually } from '../../testing/eventually.ts'
import { createTestDatabase } from '../../testing/servers/database.ts'
import { createTestFolder } from '../../testing/worlds/platform.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { startEmbeddedPostgres } from '../embedded-postgres.ts'
import { connectPostgres, migrateOperations } from '../postgres.ts'
import { codeThrownBy, collect, newEvent, newEvents, newStream, to } from './contract.ts'
import { openEventStoreDb } from './eventstoredb.ts'
import { type Keeper, keepInDatabase, keepInFolder, keepLatest } from './keeper.ts'
import type { KnownEvent } from './known-log.ts'
import type { EventStore, Position } from './port.ts'
import { openPostgresEventStore } from './postgres.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const createFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-keeper-'))
  stops.push(() => rm(folder, { recursive: true }))
  return folder
}
const createDatabase = async () => {
  const created = await createTestDatabase()
  stops.push(created.drop)
  const database = created.connect({ poolSize: 6 })
  return { ...created, database }
}
const closing = (store: EventStore): EventStore => {
  stops.push(store.close)
  return store
}
const event = (n: number): KnownEvent => ({ position: `p-${n}` as Position, id: `id-${n}`, stream: 's', revision: 7n })
/** Copies a folder with owners and modes: PostgreSQL may run as another user. */
const copyFolder = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to])
/** For a slow machine. */
const waitMs = 60_000
const write = (store: EventStore) => store.append(to(newStream(), 'no stream', ...newEvents(3)))

describe('a place for the latest event', () => {
  const places: [string, () => Promise<Keeper>][] = [
    ['the data folder', async () => keepInFolder(await createFolder())],
    [
      'the database',
      async () => {
        const { database } = await createDatabase()
        await migrateOperations(database)
        return keepInDatabase(database)
      },
    ],
  ]
  test.each(places)('%s has none at first, and then what was saved last', async (_, make) => {
    const keeper = await make()
    expect(await keeper.load()).toBeUndefined()
    for (const n of [1, 2]) {
      await keeper.save(event(n))
      expect(await keeper.load()).toEqual(event(n))
    }
  })

  test('a database keeps the latest of several processes', async () => {
    const { database } = await createDatabase()
    await migrateOperations(database)
    await keepInDatabase(database).save(event(5))
    await keepInDatabase(database).save(event(3))
    expect(await keepInDatabase(database).load()).toEqual(event(5))
  })

  test.each(['', 'null', '{"position":1}', '\0'])('a file with %j counts as none', async (text) => {
    const folder = await createFolder()
    await writeFile(join(folder, 'latest-event.json'), text)
    expect(await keepInFolder(folder).load()).toBeUndefined()
  })

  test('that cannot be written is logged once, and gets the event when it can be', async () => {
    const folder = await createFolder()
    const lines: unknown[] = []
    const keeper = keepInFolder(join(folder, 'later'))
    const log = { warn: (line: unknown) => void lines.push(line) }
    const stop = keepLatest([keeper], { latest: () => event(1) }, log)
    await eventually('a warning', () => lines.length === 1)
    await mkdir(join(folder, 'later'))
    await stop()
    expect(await keeper.load()).toEqual(event(1))
    expect(lines).toHaveLength(1)
  })
})

describe('the next start', () => {
  test('refuses a log in PostgreSQL that was put back meanwhile, and opens the right one', async () => {
    const [{ database, connect }, keepers] = [await createDatabase(), [keepInFolder(await createFolder())]]
    const store = await openPostgresEventStore({ database, keepers })
    await write(store)
    await store.close()
    const admin = connect({ poolSize: 1 })
    await admin.query('spec', 'alter table log.events disable trigger append_only')
    await admin.query('spec', 'create table saved as select * from log.events where position = 3')
    await admin.query('spec', 'delete from log.events where position = 3')
    const reopen = () => openPostgresEventStore({ database, keepers, lookPauseMs: 10 })
    expect(await codeThrownBy(reopen)).toBe('LOG_REPLACED')
    await admin.query('spec', 'insert into log.events select * from saved')
    expect(await collect(closing(await reopen()).readAll())).toHaveLength(3)
  })

  test('makes no log in an empty database when there was one before', async () => {
    const [former, empty, keepers] = [
      await createDatabase(),
      await createDatabase(),
      [keepInFolder(await createFolder())],
    ]
    const store = await openPostgresEventStore({ database: former.database, keepers })
    await write(store)
    await store.close()
    const open = () => openPostgresEventStore({ database: empty.database, keepers, lookPauseMs: 10 })
    await expect(open()).rejects.toMatchObject({ code: 'LOG_REPLACED', details: { keptIn: keepers[0]?.place } })
    const schemas = await empty.database.query('spec', `select from pg_namespace where nspname = 'log'`)
    expect(schemas).toEqual([])
  })

  test('knows the event also after a kill: it is kept while the store is open', async () => {
    const [{ database }, keeper] = [await createDatabase(), keepInFolder(await createFolder())]
    const store = closing(await openPostgresEventStore({ database, keepers: [keeper] }))
    await write(store)
    const head = await store.head()
    await eventually('the event to be kept', async () => (await keeper.load())?.position === head)
  })

  const keepersOf: [string, () => Promise<Keeper>][] = [
    ['the data folder', async () => keepInFolder(await createFolder())],
    [
      'ops',
      async () => {
        const { database } = await createDatabase()
        await migrateOperations(database)
        return keepInDatabase(database)
      },
    ],
  ]
  test.each(keepersOf)('refuses a log on EventStoreDB that was put back or emptied: kept in %s', async (_, make) => {
    const [server, keepers] = [await startEventStoreDbServer(), [await make()]]
    stops.push(server.stop)
    const open = () => openEventStoreDb({ url: server.url, keepers, lookPauseMs: 10 })
    const store = await open()
    await write(store)
    const backup = [...server.log.records]
    await write(store)
    await store.close()
    const whole = server.log
    for (const other of [createServerLog(backup), createServerLog()]) {
      await server.replaceLog(other)
      const before = server.log.records.length
      expect(await codeThrownBy(open)).toBe('LOG_REPLACED')
      expect(server.log.records).toHaveLength(before)
    }
    await server.replaceLog(whole)
    expect(await collect(closing(await open()).readAll())).toHaveLength(6)
  })
})

test('a copy of the data folder of PostgreSQL, put back under a running store and before the next start', async () => {
  const folder = await createTestFolder()
  stops.push(folder.remove)
  const start = () => startEmbeddedPostgres({ folder: folder.path, log: silentLog, durable: false })
  const data = join(folder.path, 'postgres')
  const copy = join(folder.path, 'copy')
  const keepers = [keepInFolder(folder.path)]
  const failures: Failure[] = []

  const first = await start()
  const database = connectPostgres({ url: first.url, log: silentLog, poolSize: 6 })
  const open = () =>
    openPostgresEventStore({
      database,
      keepers,
      lookPauseMs: 20,
      onReplaced: (failure) => failures.push(failure),
    })
  const store = await open()
  await write(store)
  await first.close()
  await copyFolder(data, copy)

  // A restart, also one from a copy that has everything, passes.
  const second = await start()
  expect(second.url).toBe(first.url)
  await eventually(
    'the store to go on',
    () =>
      write(store).then(
        () => true,
        () => false,
      ),
    waitMs,
  )
  expect(failures).toEqual([])
  await second.close()
  await rm(data, { recursive: true })
  await copyFolder(copy, data)

  const third = await start()
  const code = await eventually(
    'an answer of the server',
    async () => {
      const answer = await codeThrownBy(() => store.append(to(newStream(), 'no stream', newEvent())))
      return answer === 'DATABASE_UNAVAILABLE' ? undefined : { answer }
    },
    waitMs,
  )
  expect(code.answer).toBe('LOG_REPLACED')
  expect(failures).toHaveLength(1)
  const [count] = await database.query<{ count: bigint }>('spec', 'select count(*) from log.events')
  expect(count?.count).toBe(3n)
  await store.close()
  expect(await codeThrownBy(open)).toBe('LOG_REPLACED')
  expect(await readFile(join(folder.path, 'latest-event.json'), 'utf8')).toContain('00000000000000000006')
  await database.close()
  await third.close()
}, 180_000)
