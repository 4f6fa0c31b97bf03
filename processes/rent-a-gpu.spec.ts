import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor } from '../commands/actor.ts'
import { commandIds, ids } from '../commands/derived-ids.ts'
import { type Commands, createCommands } from '../commands/execute.ts'
import { isRefusal } from '../domain/errors.ts'
import { freeGpus } from '../domain/listing.ts'
import { usdc } from '../domain/money.testing.ts'
import { entriesOf, mapOf } from '../domain/persistent-map.testing.ts'
import { isIn } from '../domain/persistent-map.ts'
import { breakingAt, chartOf, createMarket, oneByOne } from '../testing/worlds/market.ts'
import { shuffled } from './concurrent-runs.testing.ts'
import { rentSteps, sagaNames } from './names.ts'
import { type RentalRequest, rentAGpu, requestRental } from './rent-a-gpu.ts'
import { runSaga } from './saga.ts'

const requestFrom = (overrides: Partial<RentalRequest> = {}): RentalRequest => ({
  renter: 'ada',
  idempotencyKey: 'first',
  listing: 'h100',
  gpuCount: 1,
  seconds: 3600n,
  maxPricePerGpuHour: usdc(4_000_000n),
  ...overrides,
})

const market = async ({ gpus = 1, funds = 10_000_000n } = {}) => {
  const world = createMarket()
  await world.list('h100', gpus)
  if (funds > 0n) await world.deposit('ada', funds)
  return world
}

const request = async (world: Awaited<ReturnType<typeof market>>, overrides: Partial<RentalRequest> = {}) => {
  const answer = await requestRental(world, requestFrom(overrides))
  if (isRefusal(answer)) throw new Error(answer.refused)
  return answer
}

const free = async (world: Awaited<ReturnType<typeof market>>) => {
  const listing = await world.state('listing', 'h100')
  return listing.status === 'none' ? 0 : freeGpus(listing)
}

describe('a rental without a refusal', () => {
  test('reserves the GPU, holds the whole price and starts the clock', async () => {
    const world = await market()
    const { outcome, rental } = await request(world)
    expect(outcome).toBe('active')
    expect(await world.state('rental', rental)).toMatchObject({
      status: 'active',
      pricePerGpuHour: usdc(3_600_000n),
      startedAt: '2026-01-01T00:00:00.000Z',
      endsAt: '2026-01-01T01:00:00.000Z',
    })
    expect(await free(world)).toBe(0)
    expect(await world.state('account', 'ada')).toMatchObject({ holds: mapOf([[rental, usdc(3_600_000n)]]) })
  })

  test('is the same rental when the request is repeated', async () => {
    const world = await market({ gpus: 2 })
    const first = await request(world)
    expect(await request(world)).toEqual(first)
    expect(await free(world)).toBe(1)
  })

  test('does not share its key with another request', async () => {
    const world = await market({ gpus: 2 })
    await request(world)
    expect(await requestRental(world, requestFrom({ gpuCount: 2 }))).toMatchObject({
      refused: 'IDEMPOTENCY_KEY_REUSED',
    })
  })
})

describe('what an earlier version has held, rounded down,', () => {
  test.each([0n, 999n])('stays as it is: %s', async (amount) => {
    const world = await market()
    const dying = { ...world, commands: createCommands({ store: breakingAt(oneByOne(world.store), 2, 'before') }) }
    const asked = requestFrom({ seconds: 1n })
    await expect(requestRental(dying, asked)).rejects.toThrow('connection lost')
    const rental = ids.rental('ada', 'first')
    const { first } = await world.commands.current('rental', rental)
    const envelope = {
      commandId: commandIds.sagaStep(sagaNames.rentAGpu, first?.eventId ?? '', rentSteps.hold),
      ...{ correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() },
    }
    const at = world.now()
    const hold = { type: 'HoldFunds', user: 'ada', rental, amount: usdc(amount), at, notAfter: at } as const
    await world.commands.execute('account', 'ada', hold, envelope)
    const answer = amount > 0n ? { outcome: 'active' } : { outcome: 'rejected', code: 'AMOUNT_INVALID' }
    for (let times = 0; times < 2; times += 1) expect(await requestRental(world, asked)).toMatchObject(answer)
    const account = await world.state('account', 'ada')
    const holds = account.status === 'open' ? entriesOf(account.holds) : []
    expect(holds).toEqual(amount > 0n ? [[rental, usdc(amount)]] : [])
  })
})

describe('a rental that is refused', () => {
  test('is rejected when the listing is full', async () => {
    const world = await market()
    await request(world)
    expect(await request(world, { idempotencyKey: 'second' })).toMatchObject({
      outcome: 'rejected',
      code: 'LISTING_FULL',
    })
  })

  test('is rejected when the price is above the maximum', async () => {
    const world = await market()
    expect(await request(world, { maxPricePerGpuHour: usdc(3_599_999n) })).toMatchObject({
      code: 'PRICE_ABOVE_MAXIMUM',
    })
  })

  test('is rejected when there is no such listing', async () => {
    const world = await market()
    expect(await request(world, { listing: 'nowhere' })).toMatchObject({ code: 'LISTING_UNKNOWN' })
  })

  /** Lets the money of the wallet go elsewhere after it was looked at: another rental holds it first. */
  const spendMeanwhile = (world: Awaited<ReturnType<typeof market>>) => {
    const execute: Commands['execute'] = async (...asked) => {
      const answer = await world.commands.execute(...asked)
      if (asked[2].type === 'RequestRental') await world.commands.execute('account', 'ada', spend, envelopeOf('spend'))
      return answer
    }
    const at = world.now()
    const spend = { type: 'HoldFunds', user: 'ada', rental: 'other', amount: usdc(1n), at, notAfter: at } as const
    const envelopeOf = (commandId: string) => ({
      ...{ commandId, correlationId: 'c', causationId: 'c', time: at },
      actor: systemActor('test'),
    })
    return { ...world, commands: { ...world.commands, execute } }
  }

  test('frees the GPU again when the money does not suffice any more', async () => {
    const world = await market({ funds: 3_600_000n })
    const { rental, ...answer } = await request(spendMeanwhile(world))
    expect(answer).toMatchObject({ outcome: 'rejected', code: 'INSUFFICIENT_FUNDS' })
    expect(await free(world)).toBe(1)
    expect(await world.state('rental', rental)).toMatchObject({ status: 'rejected', code: 'INSUFFICIENT_FUNDS' })
  })

  test('stays rejected although the money comes later, and frees the GPU once', async () => {
    const world = await market({ funds: 3_600_000n })
    const { rental } = await request(spendMeanwhile(world))
    await world.deposit('ada', 10_000_000n)
    const again = await runSaga(world, rentAGpu, { id: rental, revision: 0n })
    expect(again).toMatchObject({ outcome: 'rejected', code: 'INSUFFICIENT_FUNDS' })
    expect(await free(world)).toBe(1)
  })
})

describe('a wallet that cannot pay the whole time', () => {
  test('is refused with both amounts before anything is stored, and the same key may succeed later', async () => {
    const world = await market({ funds: 3_599_999n })
    const head = await world.store.head()
    expect(await requestRental(world, requestFrom())).toEqual({
      refused: 'INSUFFICIENT_FUNDS',
      details: { needed: '3.6 USDC', available: '3.599999 USDC' },
    })
    expect(await world.store.head()).toBe(head)
    await world.deposit('ada', 1n)
    expect(await request(world)).toMatchObject({ outcome: 'active' })
  })

  test('gets the first answer of a key that has a rental, although the money is spent by then', async () => {
    const world = await market({ gpus: 2, funds: 3_600_000n })
    const first = await request(world)
    expect(first.outcome).toBe('active')
    expect(await request(world)).toEqual(first)
    expect(await requestRental(world, requestFrom({ idempotencyKey: 'second' }))).toMatchObject({
      refused: 'INSUFFICIENT_FUNDS',
    })
  })

  test('is refused for each length and number that costs more than it has, and for no other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt(0n, 20_000_000n),
        fc.integer({ min: 1, max: 4 }),
        fc.bigInt(1n, 10_000n),
        async (funds, gpuCount, seconds) => {
          const world = await market({ gpus: 4, funds })
          const answer = await requestRental(world, requestFrom({ gpuCount, seconds }))
          const canPay = funds >= 1_000n * BigInt(gpuCount) * seconds
          expect(isRefusal(answer) ? answer.refused : answer.outcome).toBe(canPay ? 'active' : 'INSUFFICIENT_FUNDS')
          expect(await free(world)).toBe(canPay ? 4 - gpuCount : 4)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('hears first what the listing refuses', async () => {
    const world = await market({ funds: 0n })
    expect(await request(world, { maxPricePerGpuHour: usdc(3_599_999n) })).toMatchObject({
      code: 'PRICE_ABOVE_MAXIMUM',
    })
    expect(await request(world, { idempotencyKey: 'x', listing: 'nowhere' })).toMatchObject({ code: 'LISTING_UNKNOWN' })
  })
})

/** What appends all steps of a saga at once, and what appends them one by one. */
const engines = [(store: Store) => store, oneByOne]
type Store = Parameters<typeof oneByOne>[0]

describe('a request that dies on the way', () => {
  const cases = [1, 2, 3, 4, 5, 6].flatMap((at) => (['before', 'after'] as const).map((when) => ({ at, when })))

  test.each(cases)('is run to its end when it dies $when append $at', async ({ at, when }) => {
    for (const [funds, storeOf] of [10_000_000n, 1n].flatMap((funds) => engines.map((one) => [funds, one] as const))) {
      const world = await market({ funds })
      const dying = { ...world, commands: createCommands({ store: breakingAt(storeOf(world.store), at, when) }) }
      await requestRental(dying, requestFrom()).catch(() => undefined)
      for await (const { type, stream } of world.store.readAll({ types: ['RentalRequested'] })) {
        expect(type).toBe('RentalRequested')
        await runSaga(world, rentAGpu, { id: stream.slice('rental-'.length), revision: 0n })
      }
      await expectWhole(world)
    }
  })

  test('is rejected, with all undone, when the rest of its steps come after the deadline', async () => {
    const world = await market()
    const dying = { ...world, commands: createCommands({ store: breakingAt(oneByOne(world.store), 3, 'before') }) }
    await expect(requestRental(dying, requestFrom())).rejects.toThrow('connection lost')
    expect(await free(world)).toBe(0)
    world.pass(31)
    for await (const { stream } of world.store.readAll({ types: ['RentalRequested'] })) {
      const ended = await runSaga(world, rentAGpu, { id: stream.slice('rental-'.length), revision: 0n })
      expect(ended).toMatchObject({ outcome: 'rejected', code: 'DEADLINE_PASSED' })
    }
    await expectWhole(world)
    expect(await free(world)).toBe(1)
  })
})

/** Expects every rental active with its GPUs and its hold, or rejected with neither; and the books balanced. */
const expectWhole = async (world: Awaited<ReturnType<typeof market>>) => {
  const listing = await world.state('listing', 'h100')
  const active = new Map<string, number>()
  for await (const { stream } of world.store.readAll({ types: ['RentalRequested'] })) {
    const id = stream.slice('rental-'.length)
    const rental = await world.state('rental', id)
    expect(['active', 'rejected']).toContain(rental.status)
    if (rental.status !== 'active') continue
    active.set(id, rental.gpuCount)
    const account = await world.state('account', rental.renter)
    expect(account.status === 'open' && isIn(account.holds, id)).toBe(true)
  }
  expect(listing).toMatchObject({ reservations: mapOf(active) })
  const account = await world.state('account', 'ada')
  if (account.status === 'open') expect(entriesOf(account.holds).map(([id]) => id)).toEqual([...active.keys()].sort())
  expect([...(await chartOf(world.store)).values()].reduce((sum, amount) => sum + amount, 0n)).toBe(0n)
}

test('any number of runs of the same rentals, in any order, lead to the same events', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 4 }),
      fc.constantFrom(...engines),
      async (scheduler, gpus, hours, storeOf) => {
        const world = await market({ gpus, funds: BigInt(hours) * 3_600_000n })
        // Each run has its own commands, as other processes have: only the store is shared, and its order is shuffled.
        const store = storeOf(shuffled(world.store, scheduler))
        const process = () => ({ now: world.now, commands: createCommands({ store }) })
        const requests = ['a', 'b', 'c'].flatMap((idempotencyKey) => [
          requestRental(process(), requestFrom({ idempotencyKey })),
          requestRental(process(), requestFrom({ idempotencyKey })),
        ])
        const answers = await scheduler.waitFor(Promise.all(requests))
        for (const index of [0, 2, 4]) expect(answers[index]).toEqual(answers[index + 1])
        const rented = answers.filter(
          (answer, index) => index % 2 === 0 && !isRefusal(answer) && answer.outcome === 'active',
        )
        expect(rented).toHaveLength(Math.min(gpus, hours, 3))
        await expectWhole(world)
      },
    ),
    { numRuns: 50 },
  )
})
