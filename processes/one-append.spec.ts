// A saga whose every step is accepted is one append to several streams. What is stored is the same as with an append for each
// step, event by event, and nothing else changes: a refused step is a fact, and what another process did is found.
import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { createMarket, oneByOne, withAppends } from '../testing/worlds/market.ts'
import { endAndSettle } from './end-rental.ts'
import { requestRental } from './rent-a-gpu.ts'

const hour = 3_600_000n

/** Creates a market whose appends are counted, by the streams of each. */
const counted = async (engine: (store: EventStore) => EventStore = (store) => store) => {
  const inner = createMemoryEventStore({ id: 'spec' })
  const appends: string[][] = []
  const store = withAppends(engine(inner), (append, streams) => {
    appends.push(streams.map((stream) => stream.replace(/-.*/, '')))
    return append()
  })
  const world = { ...createMarket(store), inner, heartbeats: steadyHeartbeats() }
  await world.list('h100', 1)
  await world.deposit('ada', 2n * hour)
  const since = () => appends.splice(0)
  const rent = async (idempotencyKey: string, commands = world.commands) => {
    const terms = { listing: 'h100', gpuCount: 1, seconds: 3600n, maxPricePerGpuHour: usdc(hour) }
    return requestRental({ ...world, commands }, { renter: 'ada', idempotencyKey, ...terms })
  }
  const giveBack = async (rental: string) => {
    const answer = await endAndSettle(world, rental, 'returned', userActor('ada'))
    if (isRefusal(answer)) throw new Error(answer.refused)
  }
  /** Rents, uses and returns. */
  const cycle = async (key: string, seconds: number) => {
    const rented = await rent(key)
    if (isRefusal(rented)) throw new Error(rented.refused)
    world.pass(seconds)
    await giveBack(rented.rental)
    return rented.rental
  }
  since()
  return { ...world, since, rent, giveBack, cycle }
}

test('a rental with its return is four appends, with a charge and without one', async () => {
  const world = await counted()
  await world.cycle('the first pays the provider, whose account is new here', 60)
  world.since()
  for (const [key, seconds] of [
    ['used', 60],
    ['unused', 0],
  ] as const) {
    await world.cycle(key, seconds)
    expect(world.since()).toEqual([
      ['rental'],
      ['listing', 'account', 'rental'],
      ['rental'],
      ['account', ...(seconds > 0 ? ['account'] : []), 'listing', 'rental'],
    ])
  }
})

test('the log is the same, event by event, as with an append for each step', async () => {
  const logOf = async (engine: (store: EventStore) => EventStore) => {
    const world = await counted(engine)
    // Its payment has a random id.
    const before = await world.inner.head()
    await world.cycle('first', 60)
    await world.cycle('second', 7)
    await world.rent('third')
    await world.rent('refused, since the listing is full')
    return Array.fromAsync(world.inner.readAll({ after: before }))
  }
  const [together, alone] = [await logOf((store) => store), await logOf(oneByOne)]
  expect(together).toEqual(alone)
  expect(new Set(together.map(({ type }) => type))).toContain('EarningsCredited')
})

test('a step that is refused is a fact of its stream, and what was done before it is taken back', async () => {
  const world = await counted()
  const rented = await world.rent('first')
  world.since()
  expect(await world.rent('second')).toMatchObject({ code: 'LISTING_FULL' })
  expect(world.since()).toEqual([['rental'], ['listing'], ['rental']])
  expect(isRefusal(rented)).toBe(false)
  const types = (await Array.fromAsync(world.inner.readAll())).map(({ type }) => type)
  expect(types.slice(-3)).toEqual(['RentalRequested', 'CapacityRefused', 'RentalRejected'])
})

test('what another process has written at each of the streams costs one more append, and no more', async () => {
  const world = await counted()
  await world.cycle('warm', 1)
  const elsewhere = createCommands({ store: world.inner })
  const there = await world.rent('there', elsewhere)
  if (isRefusal(there)) throw new Error(there.refused)
  world.pass(1)
  await endAndSettle({ ...world, commands: elsewhere }, there.rental, 'returned', userActor('ada'))
  world.since()
  await world.cycle('here', 1)
  expect(world.since()).toEqual([
    ['rental'],
    ['listing', 'account', 'rental'],
    ['listing', 'account', 'rental'],
    ['rental'],
    ['account', 'account', 'listing', 'rental'],
    ['account', 'account', 'listing', 'rental'],
  ])
})
