import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { usdc } from '../../domain/money.testing.ts'
import type { Batch, Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import { eventually } from '../../testing/eventually.ts'
import { findListing, listings } from '../listings.ts'
import { readCheckpointState } from './checkpoints.ts'
import { createSpecLog, register, type SpecLog } from './log.testing.ts'
import { listGpus } from './market.testing.ts'
import { type OpenedModel, openModel } from './versions.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'
import { checkpointConflict, createWriter, refreshModel } from './writer.ts'

let world: ReadWorld
let opened: OpenedModel
beforeEach(async () => {
  world = await createReadWorld()
  opened = await openModel(world.database, listings, world.store)
})
afterEach(() => world.close())

/** Writes the events of one listing. */
const writeListing = async (log: SpecLog): Promise<void> => {
  await listGpus(log, 'l0')
  const reserved = { type: 'CapacityReserved', rental: 'r0', gpuCount: 2, provider: '0xp', gpu: 'H100' } as const
  await log.write('listing', 'l0', { ...reserved, pricePerGpuHour: usdc(3_600_000n) })
  await log.write('listing', 'l0', { type: 'PriceChanged', pricePerGpuHour: usdc(7n) })
  await log.write('listing', 'l0', { type: 'CapacityFreed', rental: 'r0', gpuCount: 2 })
}

const open = (options: { query?: Query; from?: OpenedModel; batchEvents?: number; pageEvents?: number } = {}) => {
  const { store, database } = world
  const { query = database.query, from = opened, batchEvents = 10, pageEvents = 10 } = options
  const written: Position[] = []
  let moves = 0
  const writer = createWriter({
    database: { ...database, query },
    store,
    opened: from,
    pageEvents,
    batchEvents,
    onWritten: (position) => written.push(position),
    onMoved: () => {
      moves += 1
    },
    onParked: () => undefined,
    onFailed: () => undefined,
  })
  return { ...writer, written, moved: () => moves }
}

const pages = async (size: number): Promise<Batch[]> => {
  const all = await Array.fromAsync(world.store.readAll())
  return Array.from({ length: Math.ceil(all.length / size) }, (_, page) => {
    const events = all.slice(page * size, (page + 1) * size)
    return { events, position: events.at(-1)?.position ?? world.store.start, bytes: 0 }
  })
}

test('a second writer writes nothing, and goes on behind the first', async () => {
  await writeListing(createSpecLog(world.store))
  const [one, two, three, four] = await pages(1)
  if (!one || !two || !three || !four) throw new Error('the log has four events')
  const first = open()
  await first.take(one)
  await first.finish()
  const second = open()
  await first.take(two)
  await first.finish()
  // While it waits for the rows of its next page, it finds that its write was a conflict.
  await second.take({ ...two, events: [...one.events, ...two.events] })
  await expect(second.take(three).then(() => second.finish())).rejects.toBe(checkpointConflict)
  expect(await findListing(world.read, 'l0')).toMatchObject({ freeGpus: 6 })
  const from = await refreshModel(world.database, opened, world.store)
  expect(from?.state.position).toBe(two.position)
  const third = open({ ...(from && { from }) })
  await third.take(three)
  await third.take(four)
  expect(await third.finish()).toBe(four.position)
  expect(await findListing(world.read, 'l0')).toMatchObject({
    freeGpus: 8,
    pricePerGpuHour: 7n,
    position: four.position,
  })
  for (const writer of [first, second, third]) await writer.close()
})

test('pages are written together, up to a full batch or the end', async () => {
  const labels: string[] = []
  const query: Query = (label, ...rest) => {
    labels.push(label)
    return world.database.query(label, ...rest)
  }
  for (let round = 0; round < 4; round++) await writeListing(createSpecLog(world.store, round * 4))
  const head = await world.store.head()
  const writer = open({ query, pageEvents: 2, batchEvents: 6 })
  for (const page of await pages(2)) await writer.take(page, page.position < head)
  expect(await writer.finish()).toBe(head)
  expect(labels.filter((label) => label === 'projections.write')).toHaveLength(3)
  expect(writer.written).toHaveLength(3)
  await writer.close()
})

test('the cache holds the rows of two batches, and evicts none that is being written', async () => {
  const log = createSpecLog(world.store)
  for (let number = 0; number < 12; number++) await listGpus(log, `l${number}`)
  for (let number = 0; number < 12; number++)
    await log.write('listing', `l${(number * 5) % 12}`, { type: 'PriceChanged', pricePerGpuHour: usdc(BigInt(number)) })
  const selected: string[][] = []
  const query: Query = async (label, text, values, options) => {
    if (label.endsWith('.select')) selected.push([...((values?.[0] ?? []) as string[])])
    return world.database.query(label, text, values, options)
  }
  const writer = open({ query, pageEvents: 1, batchEvents: 1 })
  for (const page of await pages(1)) await writer.take(page)
  await writer.finish()
  await writer.close()
  expect(selected.flat().length).toBeGreaterThan(0)
  for (let number = 0; number < 12; number++)
    expect(await findListing(world.read, `l${(number * 5) % 12}`)).toMatchObject({ pricePerGpuHour: BigInt(number) })
})

const standingNow = async () =>
  (await readCheckpointState(world.database.query, opened.target, world.store))?.position ?? world.store.start

/** Writes an event of another read model every 20 ms until `isOver`, and gives each writer a page without events for it.
 *  Resolves to the end of the log. */
const busyWithOthers = async (
  log: SpecLog,
  writers: readonly ReturnType<typeof open>[],
  isOver: (standing: Position) => boolean,
  hasMore = false,
): Promise<Position> => {
  for (const until = performance.now() + 10_000; performance.now() < until; await delay(20)) {
    const position = await log.write('provider', '0xp', register('0xp'))
    await Promise.all(writers.map((writer) => writer.take({ events: [], position, bytes: 0 }, hasMore)))
    if (isOver(await standingNow())) return position
  }
  throw new Error('the checkpoint stood still for ten seconds')
}

test('a checkpoint moves now and then while the log is busy with events of other read models', async () => {
  const writer = open()
  const seen = new Set<Position>()
  await busyWithOthers(createSpecLog(world.store), [writer], (standing) => seen.add(standing).size > 4)
  await writer.close()
})

test('of two writers one moves the checkpoint over events of others; the second finds no conflict in that, and goes on when the first has ended', async () => {
  const log = createSpecLog(world.store)
  await writeListing(log)
  const [listed] = await pages(4)
  if (!listed) throw new Error('the log has four events')
  const first = open()
  await first.take(listed)
  await first.finish()
  const from = await refreshModel(world.database, opened, world.store)
  const second = open({ ...(from && { from }) })
  const together = new Set<Position>()
  const head = await busyWithOthers(log, [first, second], (standing) => together.add(standing).size > 8)
  // It sees that the database takes writes.
  expect(second.moved()).toBeGreaterThan(0)
  await first.close()
  await eventually('the second to move it to the end', async () => (await standingNow()) === head)
  const alone = new Set<Position>()
  await busyWithOthers(log, [second], (standing) => alone.add(standing).size > 4)
  const price = await log.write('listing', 'l0', { type: 'PriceChanged', pricePerGpuHour: usdc(9n) })
  const [last] = (await Array.fromAsync(world.store.readAll())).slice(-1)
  if (!last) throw new Error('the log has events')
  await second.take({ events: [last], position: price, bytes: 0 })
  expect(await second.finish()).toBe(price)
  expect(await findListing(world.read, 'l0')).toMatchObject({ freeGpus: 8, pricePerGpuHour: 9n, position: price })
  await second.close()
})

test('a checkpoint that was moved back, or whose rows were changed beside it, is a conflict for who moves it over events of others', async () => {
  for (const change of [`position = '${opened.state.position}'`, 'retries = retries + 1']) {
    const log = createSpecLog(world.store, Number(change.startsWith('retries')) * 1_000)
    const writer = open({ from: (await refreshModel(world.database, opened, world.store)) ?? opened })
    let former: Position | undefined
    await busyWithOthers(log, [writer], (standing) => {
      former ??= standing
      return standing > former
    })
    await world.database.query('test.change', `update read.checkpoints set ${change} where projection = 'listings'`)
    await expect(busyWithOthers(log, [writer], () => false)).rejects.toBe(checkpointConflict)
    await writer.close()
  }
})

test('a read model with one event in a long stretch of others moves through that stretch while it catches up', async () => {
  const log = createSpecLog(world.store)
  await writeListing(log)
  const [listed] = await pages(1)
  if (!listed) throw new Error('the log has four events')
  const writer = open({ batchEvents: 500 })
  await writer.take(listed, true)
  const seen = new Set<Position>()
  await busyWithOthers(log, [writer], (standing) => seen.add(standing).size > 3, true)
  expect(writer.written.length).toBeGreaterThan(3)
  await writer.close()
})

test('of two writers one takes the place of the other within three seconds', async () => {
  const log = createSpecLog(world.store)
  for (const togetherMs of [500, 900, 1_300]) {
    const from = (await refreshModel(world.database, opened, world.store)) ?? opened
    const [first, second] = [open({ from }), open({ from })]
    await busyWithOthers(log, [first], () => first.moved() > 1)
    const until = performance.now() + togetherMs
    await busyWithOthers(log, [first, second], () => performance.now() > until)
    await first.close()
    const [left, begun] = [await standingNow(), performance.now()]
    await busyWithOthers(log, [second], (standing) => standing > left)
    expect(performance.now() - begun).toBeLessThan(3_000)
    await second.close()
  }
})
