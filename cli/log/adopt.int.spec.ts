import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { collect, newEvent, newEvents, newStream, to } from '../../infra/event-store/contract.ts'
import { openEventStoreDb } from '../../infra/event-store/eventstoredb.ts'
import { keepInDatabase, keepInFolder } from '../../infra/event-store/keeper.ts'
import type { Appended, EventStore, Position } from '../../infra/event-store/port.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { type Database, migrateOperations } from '../../infra/postgres.ts'
import { startTaskQueue } from '../../infra/task-queue.ts'
import { createServerLog } from '../../testing/eventstoredb/log.ts'
import { startEventStoreDbServer } from '../../testing/eventstoredb/server.ts'
import { createTestDatabase } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { openAdoptable } from '../installation.ts'
import { setBackToLog } from './adopt.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** Makes a database with a log of six events, of which the last three are lost then, and consumers all along it. */
const begin = async (
  prepare: (parts: { database: Database; store: EventStore; url: string }) => Promise<void> = async () => undefined,
) => {
  const [created, dataDir] = [await createTestDatabase(), await mkdtemp(join(tmpdir(), 'neuralmesh-adopt-'))]
  stops.push(created.drop, () => rm(dataDir, { recursive: true }))
  const database = created.connect({ poolSize: 4 })
  const keepers = [keepInFolder(dataDir)]
  await migrateOperations(database)
  const store = await openPostgresEventStore({ database, keepers })
  await prepare({ database, store, url: created.url })
  const stream = newStream()
  const positions: string[] = []
  for (const [n, event] of newEvents(6).entries()) {
    const appended = await store.append(to(stream, n === 0 ? 'no stream' : BigInt(n - 1), event))
    positions.push((appended as Appended).position)
  }
  await store.close()
  const save = 'insert into ops.consumers (name, position) values ($1, $2)'
  for (const [n, position] of positions.entries()) await database.query('spec', save, [`at ${n + 1}`, position])
  await database.query('spec', save, ['processes', positions[5]])
  await database.query('spec', 'alter table log.events disable trigger append_only')
  await database.query('spec', 'delete from log.events where stream_id = $1 and version > 2', [stream])
  await database.close()
  return { ...created, dataDir, keepers, stream, positions }
}

const adopt = async (
  {
    url,
    dataDir,
    eventStoreUrl,
  }: { readonly url: string; readonly dataDir: string; readonly eventStoreUrl?: string | undefined },
  nowMs = Date.now(),
  isKilled = false,
) => {
  const closeMs = 15_000
  const closes: (() => unknown)[] = []
  const options = {
    config: { dataDir, databaseUrl: url, eventStoreUrl },
    log: silentLog,
    shutdown: {
      add: (_: string, close: (reason: string, msMax: number) => unknown) => void closes.push(() => close('', closeMs)),
      signal: new AbortController().signal,
    },
  }
  try {
    const adoptable = await openAdoptable(options)
    const { epoch, store } = await adoptable.adopt(nowMs)
    const adoption = await setBackToLog({ ...adoptable, epoch, store })
    if (!isKilled) await adoptable.forgetKept()
    return adoption
  } finally {
    for (const close of closes.reverse()) await close()
  }
}

/** Opens the log as the next start does; closing it closes its connections. */
const reopen = async ({
  connect,
  keepers,
}: Pick<Awaited<ReturnType<typeof begin>>, 'connect' | 'keepers'>): Promise<EventStore> => {
  const database = connect({ poolSize: 4 })
  const store = await openPostgresEventStore({ database, keepers }).catch(async (error) => {
    await database.close()
    throw error
  })
  const close = async () => {
    await store.close()
    await database.close()
  }
  stops.push(close)
  return { ...store, close }
}

describe('a log in PostgreSQL that was put back', () => {
  test('is refused, and is opened when it was adopted: consumers that were ahead are set back, others stay', async () => {
    const world = await begin()
    await expect(reopen(world)).rejects.toMatchObject({ code: 'LOG_REPLACED' })
    const adoption = await adopt(world)
    const { positions } = world
    expect(adoption.position).toBe(positions[2])
    expect(adoption.lost.map(({ position }) => position)).toEqual([positions[5]])
    expect(adoption.consumers).toEqual([
      ...[4, 5, 6].map((n) => ({ name: `at ${n}`, position: positions[n - 1], to: positions[2] })),
      { name: 'processes', position: positions[5], to: undefined },
    ])
    const store = await reopen(world)
    const database = world.connect({ poolSize: 1 })
    stops.push(database.close)
    const rows = await database.query<{ name: string; position: string }>(
      'spec',
      'select name, position from ops.consumers order by name',
    )
    expect(rows.map(({ position }) => position)).toEqual([1, 2, 3, 3, 3, 3].map((n) => positions[n - 1]))
    expect((await collect(store.readAll())).map(({ position }) => position)).toEqual(positions.slice(0, 3))
  })

  test('goes on in a new epoch: positions sort above what was lost, and what was lost is refused with that reason', async () => {
    const world = await begin()
    await adopt(world)
    const store = await reopen(world)
    const { positions, stream } = world
    const events = newEvents(4)
    const appended = (await store.append(to(stream, 2n, ...events))) as Appended
    expect(appended.position > (positions[5] ?? '')).toBe(true)
    const all = await collect(store.readAll())
    expect(all.map(({ position }) => position).slice(0, 3)).toEqual(positions.slice(0, 3))
    expect(all.map(({ position }) => position).toSorted()).toEqual(all.map(({ position }) => position))
    for (const after of positions.slice(0, 3)) {
      const n = positions.indexOf(after) + 1
      expect(await collect(store.readAll({ after: store.parsePosition(after) }))).toEqual(all.slice(n))
    }
    for (const lost of positions.slice(3))
      expect(() => store.parsePosition(lost)).toThrow(/put back to an earlier state/)
    const seen = []
    for await (const batch of store.subscribe({ signal: AbortSignal.timeout(30_000) })) {
      seen.push(...batch.events)
      if (seen.length === 7) break
    }
    expect(seen).toEqual(all)
    expect(await store.head()).toBe(all.at(-1)?.position)
  })

  test('is adopted again after another loss, also by a clock that went backwards', async () => {
    const world = await begin()
    await adopt(world, 2_000_000_000_000)
    const store = await reopen(world)
    const lost = (await store.append(to(newStream(), 'no stream', newEvent()))) as Appended
    await store.close()
    const database = world.connect({ poolSize: 1 })
    await database.query('spec', 'delete from log.events where position > 3')
    await database.close()
    await expect(reopen(world)).rejects.toMatchObject({ code: 'LOG_REPLACED' })
    await adopt(world, 1_000_000_000_000)
    const after = await reopen(world)
    const next = (await after.append(to(newStream(), 'no stream', newEvent()))) as Appended
    expect(next.position > lost.position).toBe(true)
    expect(() => after.parsePosition(lost.position)).toThrow(/put back to an earlier state/)
  })

  test('opens for the other processes too, whose data folders still have the lost event', async () => {
    const world = await begin()
    const other = await mkdtemp(join(tmpdir(), 'neuralmesh-adopt-'))
    stops.push(() => rm(other, { recursive: true }))
    const [kept] = [await world.keepers[0]?.load()]
    if (!kept) throw new Error('the event was kept')
    await keepInFolder(other).save(kept)
    await adopt(world)
    const store = await reopen({ ...world, keepers: [keepInFolder(other)] })
    expect(await collect(store.readAll())).toHaveLength(3)
  })

  test('an adoption that was killed before its end is repeated, and sets the same back', async () => {
    const world = await begin()
    await adopt(world, Date.now(), true)
    const { lost, consumers } = await adopt(world)
    expect(lost.map(({ position }) => position)).toEqual([world.positions[5]])
    expect(consumers).toEqual([])
    expect(await collect((await reopen(world)).readAll())).toHaveLength(3)
  })

  test('timers of rentals that it does not have are removed, others stay', async () => {
    const world = await begin(async ({ database, store, url }) => {
      await store.append(to('rental-there', 'no stream', newEvent('RentalRequested')))
      const queue = await startTaskQueue({ url, database, log: silentLog, handlers: {}, concurrency: 1 })
      for (const rental of ['there', 'lost'])
        await queue.schedule('meter', { rental, period: 1 }, { key: `meter:${rental}`, runAt: new Date(2e12) })
      await queue.schedule('walk', { process: 'settle', id: 'lost', revision: '0' }, { key: 'walk:settle:lost:0' })
      await queue.close()
    })
    const { timers } = await adopt(world)
    expect(timers).toBe(1)
  })

  test('blocks are read again from the first whose deposits it may lack', async () => {
    const observed = (block: string) => newEvent('DepositObserved', { blockNumber: block })
    const world = await begin(async ({ database, store }) => {
      await store.append(to('payment-a', 'no stream', observed('5'), newEvent('DepositFinalized', {})))
      await store.append(to('payment-b', 'no stream', observed('7')))
      await store.append(to('payment-c', 'no stream', observed('9'), newEvent('DepositFinalized', {})))
      await database.query('spec', `insert into ops.cursors (name, block) values ('1:0xa', 40), ('1:0xb', 6)`)
    })
    const { rescans } = await adopt(world)
    expect(rescans).toEqual([{ contract: '1:0xa', from: 7n, to: 40n }])
    const database = world.connect({ poolSize: 1 })
    stops.push(database.close)
    const rows = await database.query('spec', 'select cursor_name, from_block, to_block from ops.rescans')
    expect(rows).toEqual([{ cursor_name: '1:0xa', from_block: '7', to_block: '40' }])
  })

  test('an empty database takes its place, where that is wanted', async () => {
    const [world, empty] = [await begin(), await createTestDatabase()]
    stops.push(empty.drop)
    await expect(reopen({ ...world, connect: empty.connect })).rejects.toMatchObject({ code: 'LOG_REPLACED' })
    const { lost, consumers } = await adopt({ ...world, url: empty.url })
    expect(lost.map(({ position }) => position)).toEqual([world.positions[5]])
    expect(consumers).toEqual([])
    const store = await reopen({ ...world, connect: empty.connect })
    expect(await collect(store.readAll())).toEqual([])
    expect(await store.append(to(newStream(), 'no stream', newEvent()))).toMatchObject({ outcome: 'appended' })
    expect(await collect(store.readAll())).toHaveLength(1)
  })

  test.each([
    ['kept in the data folder, on EventStoreDB', 'folder', 'esdb', undefined],
    ['kept in the database, on EventStoreDB', 'database', 'esdb', undefined],
    ['where a consumer stood, on EventStoreDB', 'consumer', 'esdb', undefined],
    ['kept in the data folder, in PostgreSQL', 'folder', 'pg', 'esdb://127.0.0.1:1?tls=false'],
    ['where a consumer stood, in PostgreSQL', 'consumer', 'pg', 'esdb://127.0.0.1:1?tls=false'],
  ])('a log of the other engine than the one known (%s) is not adopted, and nothing is made', async (...row) => {
    const [, place, engine, eventStoreUrl] = row
    const [created, dataDir] = [await createTestDatabase(), await mkdtemp(join(tmpdir(), 'neuralmesh-adopt-'))]
    stops.push(created.drop, () => rm(dataDir, { recursive: true }))
    const database = created.connect({ poolSize: 1 })
    await migrateOperations(database)
    const number = '00000000000000000007'
    const position = (engine === 'esdb' ? `esdb-a-${number}-${number}` : `pg-a-${number}`) as Position
    const known = { position, id: crypto.randomUUID(), stream: 's', revision: 1n }
    if (place === 'folder') await keepInFolder(dataDir).save(known)
    else if (place === 'database') await keepInDatabase(database).save(known)
    else await database.query('spec', `insert into ops.consumers (name, position) values ('processes', $1)`, [position])
    await database.close()
    await expect(adopt({ ...created, dataDir, eventStoreUrl })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { variable: 'EVENTSTORE_URL', position },
    })
    const after = created.connect({ poolSize: 1 })
    stops.push(after.close)
    expect(await after.query('spec', `select to_regclass('log.events') as log`)).toEqual([{ log: null }])
    if (place === 'folder') expect(await keepInFolder(dataDir).load()).toEqual(known)
  })

  test('is not adopted while a process works with it', async () => {
    const world = await begin()
    const database = world.connect({ poolSize: 1 })
    await database.query('spec', 'select 1')
    await expect(adopt(world)).rejects.toMatchObject({ code: 'LOG_IN_USE' })
    await database.close()
    await adopt(world)
  })

  test('where others have written since, everything that reads it is set back', async () => {
    const world = await begin()
    const database = world.connect({ poolSize: 4 })
    const unaware = await openPostgresEventStore({ database })
    await unaware.append(to(newStream(), 'no stream', ...newEvents(20)))
    await unaware.close()
    await database.close()
    const { consumers } = await adopt(world)
    expect(consumers.map(({ name }) => name)).toEqual(['at 1', 'at 2', 'at 3', 'at 4', 'at 5', 'at 6', 'processes'])
  })
})

describe('a log on EventStoreDB', () => {
  /** Makes a log of two events with a consumer at its end, and a process that has only opened it. */
  const beginOnServer = async () => {
    const [created, dataDir] = [await createTestDatabase(), await mkdtemp(join(tmpdir(), 'neuralmesh-adopt-'))]
    stops.push(created.drop, () => rm(dataDir, { recursive: true }))
    const server = await startEventStoreDbServer()
    stops.push(server.stop)
    const writer = await openEventStoreDb({ url: server.url })
    const { position } = (await writer.append(to(newStream(), 'no stream', ...newEvents(2)))) as Appended
    await writer.close()
    const keepers = [keepInFolder(dataDir)]
    await (await openEventStoreDb({ url: server.url, keepers })).close()
    const kept = await keepers[0]?.load()
    const database = created.connect({ poolSize: 1 })
    await migrateOperations(database)
    await database.query('spec', `insert into ops.consumers (name, position) values ('processes', $1)`, [position])
    await database.close()
    return { server, position, kept, adopt: () => adopt({ ...created, dataDir, eventStoreUrl: server.url }) }
  }

  test('that has lost nothing is adopted so, also by what a process knows that has only opened it', async () => {
    const world = await beginOnServer()
    expect(world.kept && world.kept.position < world.position).toBe(true)
    expect(await world.adopt()).toMatchObject({ position: world.position, lost: [], consumers: [], rescans: [] })
  })

  test('that is another one has lost what the process knew of it', async () => {
    const world = await beginOnServer()
    await world.server.replaceLog(createServerLog())
    expect(await world.adopt()).toMatchObject({ lost: [world.kept], consumers: [{ name: 'processes' }] })
  })
})
