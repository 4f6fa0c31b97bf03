import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { usdc } from '../domain/money.testing.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { endAndSettle } from './end-rental.ts'

const rent = async () => ({ ...(await createActiveRental()), heartbeats: steadyHeartbeats() })

test('a GPU that is given back is settled with the answer, and the answer names the last event', async () => {
  const world = await rent()
  world.pass(10)
  const answer = await endAndSettle(world, world.rental, 'returned', userActor('ada'))
  expect(await world.state('rental', world.rental)).toMatchObject({ status: 'settled', charged: usdc(10_000n) })
  expect(answer).toEqual({ outcome: 'ended', position: await world.store.head() })
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
