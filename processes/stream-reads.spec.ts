import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { idOf } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { timerHandlers } from '../roles/worker.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { endAndSettle } from './end-rental.ts'
import { requestRental } from './rent-a-gpu.ts'
import { handlersOf } from './subscriber.ts'

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
  const handlers = timerHandlers({ ...world, config: { chargePeriodSeconds: 300 } }, none, none)
  let after = await store.head()
  /** Does what the worker does for each event since the last time. */
  const follow = async () => {
    for (let isMore = true; isMore; ) {
      const news = await Array.fromAsync(store.readAll({ after }))
      for (const { stream, type, revision, position } of news) {
        after = position
        for (const process of handlersOf(type))
          await handlers.walk({ process, id: idOf(stream), revision: String(revision) })
      }
      isMore = news.length > 0
    }
  }
  const rent = async (idempotencyKey: string, commands = world.commands) => {
    const terms = { renter: 'ada', listing: 'h100', gpuCount: 1, seconds: 60n, maxPricePerGpuHour: usdc(3_600_000n) }
    const rented = await requestRental({ ...world, commands }, { ...terms, idempotencyKey })
    if (isRefusal(rented)) throw new Error(rented.refused)
    return rented
  }
  return { ...world, inner, read, follow, rent }
}

test('a rental with its return reads one stream at most, by the request and the worker together', async () => {
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
    // The listing and the account are new here at first; a retry, which is how this worker works, looks at the rental
    // once more; and one is the line above.
    expect(world.read.length).toBeLessThanOrEqual((key === 'first' ? 2 : 0) + 1 + 1)
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
