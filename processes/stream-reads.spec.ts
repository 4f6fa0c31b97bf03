import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import type { Bus } from '../infra/bus/port.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { endAndSettle } from './end-rental.ts'
import { requestRental } from './rent-a-gpu.ts'
import { runSubscriber } from './subscriber.ts'

/** Creates a market whose reads of streams are counted. */
const countedMarket = async (inner = createMemoryEventStore()) => {
  const read: string[] = []
  const store: EventStore = {
    ...inner,
    readStream: (stream, range) => {
      read.push(stream)
      return inner.readStream(stream, range)
    },
  }
  const world = { ...createMarket(store), heartbeats: steadyHeartbeats() }
  const none = async () => undefined
  let after = await store.head()
  /** Delivers all events since the last time, in order, and again what followed from them. */
  const consume: Bus['consume'] = async ({ filter, handle }) => {
    for (let isMore = true; isMore; ) {
      const events = await Array.fromAsync(store.readAll({ ...filter, after }))
      isMore = events.length > 0
      after = events.at(-1)?.position ?? after
      if (isMore) await handle({ events, position: after, bytes: 0 })
    }
  }
  const bus: Bus = { name: 'spec', position: none, consume }
  const timers = { activated: none, ended: none, jobEnded: none, endRequested: none, schedule: none }
  const { signal } = new AbortController()
  /** Does what the worker does. */
  const follow = () => runSubscriber({ ...world, ...timers, bus, signal })
  const rent = async (idempotencyKey: string, commands = world.commands) => {
    const terms = { renter: 'ada', listing: 'h100', gpuCount: 1, seconds: 60n, maxPricePerGpuHour: usdc(3_600_000n) }
    const rented = await requestRental({ ...world, commands }, { ...terms, idempotencyKey })
    if (isRefusal(rented)) throw new Error(rented.refused)
    return rented
  }
  return { ...world, inner, read, follow, rent }
}

test('a rental with its return reads no stream, by the request and the worker together', async () => {
  const world = await countedMarket()
  await world.list('h100', 1)
  await world.deposit('ada', 10_000_000n)
  await world.follow()
  for (const key of ['first', 'second']) {
    world.read.length = 0
    const { rental, outcome } = await world.rent(key)
    await world.follow()
    const ended = await endAndSettle(world, rental, 'returned', userActor('ada'))
    await world.follow()
    expect([outcome, isRefusal(ended) ? ended.refused : ended.outcome]).toEqual(['active', 'ended'])
    expect(await world.state('rental', rental)).toMatchObject({ status: 'settled' })
    // The listing and the account are new here at first, and one is the line above.
    expect(world.read.length).toBeLessThanOrEqual((key === 'first' ? 2 : 0) + 1)
  }
})

test('the worker of another process reads a rental once, and appends nothing', async () => {
  const inner = createMemoryEventStore()
  const world = await countedMarket(inner)
  await world.list('h100', 1)
  await world.deposit('ada', 10_000_000n)
  const other = await countedMarket(inner)
  await other.follow()
  for (const key of ['first', 'second']) {
    const { rental } = await world.rent(key)
    world.pass(5)
    await endAndSettle(world, rental, 'returned', userActor('ada'))
    const head = await inner.head()
    other.read.length = 0
    await other.follow()
    expect(await inner.head()).toBe(head)
    expect(other.read).toEqual([`rental-${rental}`])
  }
})

test('what another process has changed is found by the append: the answer is that of the present state', async () => {
  const world = await countedMarket()
  await world.list('h100', 1)
  await world.deposit('ada', 10_000_000n)
  const elsewhere = createCommands({ store: world.inner })
  const { rental } = await world.rent('there', elsewhere)
  // Here the listing still looks free, and the rental as if it had never been requested.
  expect(await world.rent('here')).toMatchObject({ outcome: 'rejected', code: 'LISTING_FULL' })
  expect(await world.rent('there')).toMatchObject({ rental, outcome: 'active' })
  const ended = await endAndSettle(world, rental, 'returned', userActor('ada'))
  expect(ended).toMatchObject({ outcome: 'ended' })
  expect(await world.rent('again', elsewhere)).toMatchObject({ outcome: 'active' })
})
