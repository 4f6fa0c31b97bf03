import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { endAndSettle } from './end-rental.ts'
import { requestRental } from './rent-a-gpu.ts'

const rent = async () => {
  const world = createMarket()
  await world.list('h100', 1)
  await world.deposit('ada', 10_000_000n)
  const wish = { renter: 'ada', idempotencyKey: 'one', listing: 'h100', gpuCount: 1, seconds: 3600n }
  const rented = await requestRental(world, { ...wish, maxPricePerGpuHour: usdc(4_000_000n) })
  if (isRefusal(rented)) throw new Error(rented.refused)
  const acknowledged = async (_: string, startedAt: string, at: string) =>
    BigInt((Date.parse(at) - Date.parse(startedAt)) / 1000)
  return { ...world, heartbeats: { acknowledged }, rental: rented.rental }
}

test('who gives a GPU back has the rental settled with the answer, and the answer names the last event', async () => {
  const world = await rent()
  world.pass(10)
  const answer = await endAndSettle(world, world.rental, 'returned', userActor('ada'))
  expect(await world.state('rental', world.rental)).toMatchObject({ status: 'settled', charged: usdc(10_000n) })
  expect(answer).toEqual({ position: await world.store.head() })
})

test('asked for twice, the second answer is the first, and nothing is charged again', async () => {
  const world = await rent()
  world.pass(10)
  const first = await endAndSettle(world, world.rental, 'returned', userActor('ada'))
  const head = await world.store.head()
  world.pass(10)
  expect(await endAndSettle(world, world.rental, 'returned', userActor('ada'))).toEqual(first)
  expect(await world.store.head()).toBe(head)
})

test('a stranger is refused, and the rental runs on', async () => {
  const world = await rent()
  const answer = await endAndSettle(world, world.rental, 'returned', userActor('eve'))
  expect(answer).toMatchObject({ refused: 'NOT_YOURS' })
  expect(await world.state('rental', world.rental)).toMatchObject({ status: 'active' })
})
