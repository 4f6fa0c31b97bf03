// The processes of a run whose log is on an EventStoreDB: the stand-in in this process, reached through the relay.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openEventStoreDb } from '../../infra/event-store/eventstoredb.ts'
import { connectPostgres, migrateOperations } from '../../infra/postgres.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../eventstoredb/server.ts'
import { eventually } from '../eventually.ts'
import { createTestDatabase, type TestDatabase } from '../servers/database.ts'
import { silentLog } from '../worlds/silent-log.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { journalFiles, readJournal } from './journal.ts'
import { examineAppends } from './proof-appends.ts'
import { examineStreams, examineTail } from './proof-order.ts'
import { lastReceived, readReceived, receivedFile } from './received.ts'
import { type Relay, startRelay } from './relay.ts'

let folder: string
let database: TestDatabase
let server: EventStoreDbServer
let relay: Relay
let fleet: Fleet
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-on-nodes-'))
  await mkdir(join(folder, 'journals'))
  database = await createTestDatabase()
  const migrating = connectPostgres({ url: database.url, log: silentLog, poolSize: 1 })
  await migrateOperations(migrating)
  await migrating.close()
  server = await startEventStoreDbServer()
  relay = await startRelay()
  fleet = startFleet({
    members: [
      { kind: 'appender', name: 'appender-1', perSecond: 100 },
      { kind: 'tail', name: 'tail-1', perSecond: 0 },
    ],
    url: database.url,
    eventStoreUrl: server.url,
    proxyUrl: relay.url,
    folder: join(folder, 'journals'),
    logs: folder,
    seed: 1,
  })
})
afterEach(async () => {
  await fleet.end()
  await relay.close()
  await server.stop()
  await database.drop()
  await rm(folder, { recursive: true })
})

test('through cut connections and kills, appends and tails keep all promises', async () => {
  const received = receivedFile(join(folder, 'journals'), 'tail-1')
  const someMore = async () => {
    const before = fleet.sum('tail', 'seen')
    await eventually('some more is appended and seen', () => fleet.sum('tail', 'seen') > before)
  }
  for (const which of ['all', 0, 0.99] as const) {
    await someMore()
    expect(relay.cut(which)).toBe(true)
  }
  await someMore()
  expect(fleet.kill('appender', 0)).toBe(true)
  await someMore()
  await fleet.stop('appender', 20_000)
  const store = await openEventStoreDb({ url: server.url })
  const head = await store.head()
  await eventually('the tail is there', () => (lastReceived(received)?.split(' ')[0] ?? '') >= head)
  await fleet.stop('tail', 20_000)
  expect(fleet.unexpectedExits).toEqual([])

  const lines = readJournal(await journalFiles(join(folder, 'journals'), 'appender-1'))
  const examiners = [
    examineAppends([{ writer: 'appender-1', lines }], store),
    examineStreams(),
    examineTail('tail-1', readReceived(received)),
  ]
  for await (const event of store.readAll()) for (const examiner of examiners) await examiner.examine(event)
  for (const examiner of examiners) expect((await examiner.end()).complaints).toEqual([])
  await store.close()
})
