import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { usdc } from '../../domain/money.testing.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts'
import type { Batch, Position } from '../../infra/event-store/port.ts'
import { eventually } from '../../testing/eventually.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { findListing, listings } from '../listings.ts'
import { createGroupWriter } from './group-writer.ts'
import { createSpecLog, register, type SpecLog } from './log.testing.ts'
import { listGpus } from './market.testing.ts'
import { openModel } from './versions.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'
import { checkpointConflict, createWriter, refreshModel } from './writer.ts'

const testServer = process.env.TEST_DATABASE_URL
let folder: string
let server: EmbeddedPostgres
let world: ReadWorld
let log: SpecLog
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'neuralmesh-crash-')))
  await chmod(folder, 0o755)
  server = await startEmbeddedPostgres({ folder, log: silentLog })
  process.env.TEST_DATABASE_URL = server.url
  world = await createReadWorld()
  log = createSpecLog(world.store)
})
afterEach(async () => {
  process.env.TEST_DATABASE_URL = testServer
  await world.close()
  await server.close()
  await rm(folder, { recursive: true })
})

/** Ends the server as a power failure would, and waits until it is there again. */
const crash = async (): Promise<void> => {
  const pid = server.pid()
  if (pid === undefined) throw new Error('the server is not running')
  process.kill(pid, 'SIGKILL')
  await eventually('the death to be noticed', () => server.pid() !== pid)
  await world.database.waitUntilReady(10_000)
}

test('the last rows, lost in a crash of the database, are folded again although nothing else happens', async () => {
  const running = world.start()
  await running.waitFor(await listGpus(log, 'l0'), 10_000)
  await delay(1_000)
  const position = await log.write('listing', 'l0', { type: 'PriceChanged', pricePerGpuHour: usdc(2n) })
  await running.waitFor(position, 5_000)
  await crash()
  await eventually(
    'the price of the log',
    async () => (await findListing(world.read, 'l0'))?.pricePerGpuHour === 2n,
    10_000,
  )
})

test('of two processes with one read model, none counts an event twice that the other had written before a crash', async () => {
  const { database, store } = world
  const opened = await openModel(database, listings, store)
  const open = async () =>
    createWriter({
      database,
      store,
      group: createGroupWriter(database),
      opened: (await refreshModel(database, opened, store)) ?? opened,
      pageEvents: 500,
      batchEvents: 500,
      onWritten: () => undefined,
      onMoved: () => undefined,
      onParked: () => undefined,
      onFailed: () => undefined,
    })
  const pageTo = async (position: Position): Promise<Batch> => ({
    events: (await Array.fromAsync(store.readAll())).filter((event) => event.position === position),
    position,
    bytes: 10,
  })
  const first = await open()
  await first.take(await pageTo(await listGpus(log, 'l0')))
  await first.finish()
  await first.close()
  await delay(1_000)
  const [one, other] = [await open(), await open()]
  const reserved = { type: 'CapacityReserved', rental: 'r0', gpuCount: 1, provider: '0xp', gpu: 'H100' } as const
  const page = await pageTo(await log.write('listing', 'l0', { ...reserved, pricePerGpuHour: usdc(1n) }))
  await other.take(page)
  await other.finish()
  // It finds the row as the other has left it: what it made of that could be written after the crash.
  const taken = await one.take(page, true).then(
    () => undefined,
    (error: unknown) => error,
  )
  await crash()
  if (!taken) {
    const end = await log.write('provider', '0xp', register('0xp'))
    await one.take({ events: [], position: end, bytes: 0 })
    await one.finish()
  }
  expect(taken).toBe(checkpointConflict)
  for (const writer of [one, other]) await writer.close()
  await world.start({ projections: [listings] }).waitFor(await store.head(), 10_000)
  expect(await findListing(world.read, 'l0')).toMatchObject({ freeGpus: 7 })
})

test('rows and a checkpoint that were put back long after they were written, as by a failover, are folded again', async () => {
  const { query } = world.database
  const running = world.start()
  await running.waitFor(await listGpus(log, 'l0'), 10_000)
  await query('spec.keep', 'create table kept as select * from read.listings')
  await query('spec.keep', 'create table kept_checkpoints as select * from read.checkpoints')
  await running.waitFor(await log.write('listing', 'l0', { type: 'PriceChanged', pricePerGpuHour: usdc(2n) }), 5_000)
  await delay(4_000)
  await query(
    'spec.back',
    `with moved as (update read.checkpoints c set position = k.position from kept_checkpoints k where k.projection = c.projection)
      update read.listings l set price_per_gpu_hour = k.price_per_gpu_hour, position = k.position from kept k where k.id = l.id`,
  )
  expect((await findListing(world.read, 'l0'))?.pricePerGpuHour).not.toBe(2n)
  await eventually(
    'the price of the log',
    async () => (await findListing(world.read, 'l0'))?.pricePerGpuHour === 2n,
    10_000,
  )
})
