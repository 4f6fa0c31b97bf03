import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor, userActor } from '../commands/actor.ts'
import { createCommands, requestEnvelope } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { isFinal } from '../domain/refusals.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import { allProjections } from '../projections/all.ts'
import { openReadModels, type ReadModels } from '../projections/database.ts'
import { type Projections, startProjections } from '../projections/engine/start.ts'
import { createTestDatabase, type TestDatabase } from '../testing/servers/database.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { requestRental } from './rent-a-gpu.ts'
import { type PlacementRequest, rentCheapest } from './rent-cheapest.ts'

let home: TestDatabase
let store: EventStore
let read: ReadModels
let projections: Projections
let world: ReturnType<typeof createMarket>

beforeAll(async () => {
  home = await createTestDatabase()
  const database = home.connect({ poolSize: 10 })
  store = await openPostgresEventStore({ database, pollMs: 50 })
  read = await openReadModels({ url: home.url, log: silentLog, projections: allProjections })
  projections = startProjections({ projections: allProjections, store, database, log: silentLog })
  world = createMarket(store)
})
afterAll(async () => {
  await projections.close()
  await read.close()
  await store.close()
  await home.drop()
})

/** Returns the dependencies of a process of its own. */
const openProcess = () => ({ commands: createCommands({ store }), read, now: world.now })

const requestOf = (renter: string, idempotencyKey: string, overrides: Partial<PlacementRequest['needs']> = {}) => {
  const terms = { gpuCount: 1, maxPricePerGpuHour: usdc(4_000_000n) }
  return { renter, idempotencyKey, seconds: 3600n, ...terms, needs: { gpu: 'H100', ...terms, ...overrides } }
}

let lists = 0
/** Lists as many GPUs, each by itself, and waits until placement sees them. */
const list = async (count: number) => {
  const names = Array.from({ length: count }, () => `h100-${++lists}`)
  for (const name of names) await world.list(name, 1)
  await projections.waitFor(await store.head(), 10_000)
  return names
}

test('many renters who repeat their request in many processes at once: one answer per key, and no GPU leased twice', async () => {
  const processes = Array.from({ length: 4 }, openProcess)
  await list(3)
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  for (const key of keys) await world.deposit(`renter-${key}`, 20_000_000n)
  const answers = await Promise.all(
    keys.flatMap((key) =>
      processes.flatMap((process) =>
        [1, 2].map(async () => ({ key, answer: await rentCheapest(process, requestOf(`renter-${key}`, key)) })),
      ),
    ),
  )
  const active = new Set<string>()
  for (const key of keys) {
    const again = await rentCheapest(openProcess(), requestOf(`renter-${key}`, key))
    for (const { answer } of answers.filter((each) => each.key === key)) {
      // Where no GPU was free any more there is no rental, and the next request may find one.
      if (isRefusal(answer) && !isFinal(answer.refused)) continue
      expect(answer).toEqual(again)
    }
    if (!isRefusal(again) && again.outcome === 'active') active.add(again.rental)
  }
  // All of them find the same three.

  expect(answers.filter(({ answer }) => isRefusal(answer) && answer.refused === 'IDEMPOTENCY_KEY_REUSED')).toEqual([])
  expect(active.size).toBe(3)
}, 60_000)

describe('a key that has led to a rental', () => {
  test('stores what was asked and what was found, with the first rental alone', async () => {
    await list(2)
    await world.deposit('sue', 20_000_000n)
    const answer = await rentCheapest(openProcess(), requestOf('sue', 'stored', { region: 'fr' }))
    if (isRefusal(answer)) throw new Error(answer.refused)
    expect(await requestOfRental(answer.rental)).toMatchObject({
      placement: { gpu: 'H100', region: 'fr', listings: [expect.any(String), expect.any(String)] },
    })
  })

  test('is refused for every other request, by needs or by listing', async () => {
    const [listing = ''] = await list(1)
    await world.deposit('tom', 40_000_000n)
    const asked = requestOf('tom', 'other')
    const { needs, ...terms } = asked
    const first = await rentCheapest(openProcess(), asked)
    expect(first).toMatchObject({ outcome: 'active' })
    const others: PlacementRequest[] = [
      requestOf('tom', 'other', { gpu: 'A100' }),
      requestOf('tom', 'other', { region: 'DE' }),
      requestOf('tom', 'other', { vramMib: 1_000 }),
      { ...asked, seconds: 7200n },
    ]
    for (const other of others)
      expect(await rentCheapest(openProcess(), other)).toMatchObject({ refused: 'IDEMPOTENCY_KEY_REUSED' })
    const { listing: rented = '' } = (await requestOfRental((first as { rental: string }).rental)) ?? {}
    for (const named of [listing, rented])
      expect(await requestRental(openProcess(), { ...terms, listing: named })).toMatchObject({
        refused: 'IDEMPOTENCY_KEY_REUSED',
      })
    expect(await rentCheapest(openProcess(), asked)).toEqual(first)
  })

  test('by listing is refused by needs', async () => {
    const [listing = ''] = await list(1)
    await world.deposit('uma', 40_000_000n)
    const asked = requestOf('uma', 'named')
    const { needs, ...terms } = asked
    expect(await requestRental(openProcess(), { ...terms, listing })).toMatchObject({ outcome: 'active' })
    expect(await rentCheapest(openProcess(), asked)).toMatchObject({ refused: 'IDEMPOTENCY_KEY_REUSED' })
  })
})

test('whoever comes late to a full listing goes on with the listings that were stored, also when others came since', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 }), async (full) => {
      const gpus = await list(3)
      const renter = `late-${gpus[0]}`
      await world.deposit(renter, 20_000_000n)
      await world.deposit('quick', 40_000_000n)
      const dying = openProcess()
      const execute: typeof dying.commands.execute = async (...asked) => {
        const answer = await dying.commands.execute(...asked)
        if (asked[2].type === 'RequestRental') throw new Error('killed')
        return answer
      }
      const asked = requestOf(renter, 'k')
      await expect(rentCheapest({ ...dying, commands: { ...dying.commands, execute } }, asked)).rejects.toThrow(
        'killed',
      )
      const listings = (await requestOfRental((await firstOf(renter)) ?? ''))?.placement?.listings ?? []
      expect(listings.length).toBeGreaterThanOrEqual(3)
      for (const listing of listings.slice(0, full)) {
        const { needs, ...terms } = requestOf('quick', `quick-${listing}`)
        await requestRental(openProcess(), { ...terms, listing })
      }
      await list(1)
      const answers = await Promise.all([rentCheapest(openProcess(), asked), rentCheapest(openProcess(), asked)])
      expect(answers[0]).toEqual(answers[1])
      expect(answers[0]).toMatchObject({ outcome: 'active' })
      const rented = await requestOfRental((answers[0] as { rental: string }).rental)
      expect(rented).toMatchObject({ listing: listings[full] })
    }),
    { numRuns: 4 },
  )
}, 60_000)

/** What a provider may do with a listing once it was found, so that it refuses because of what it offers. */
const lies: Readonly<Record<string, () => CommandOf<'listing'>>> = {
  LISTING_WITHDRAWN: () => ({ type: 'WithdrawListing' }),
  PRICE_ABOVE_MAXIMUM: () => ({ type: 'ChangePrice', pricePerGpuHour: usdc(100_000_000n) }),
  LISTING_FULL: () => ({
    ...{ type: 'ReserveCapacity', rental: newId(), gpuCount: 1, maxPricePerGpuHour: usdc(4_000_000n) },
    ...{ at: world.now(), notAfter: world.now() },
  }),
}

/** Returns a process in which the listings change as told, after they were found and before any is rented. */
const openBetrayed = (changes: readonly (readonly [string, string, string])[]) => {
  const process = openProcess()
  let isTold = false
  const execute: typeof process.commands.execute = async (...asked) => {
    if (asked[2].type === 'RequestRental' && !isTold) {
      isTold = true
      for (const [listing, provider, lie] of changes) {
        const command = lies[lie]?.() ?? { type: 'WithdrawListing' }
        const actor = command.type === 'ReserveCapacity' ? systemActor('test') : userActor(provider)
        await world.commands.execute('listing', listing, command, requestEnvelope(newId(), actor, world.now()))
      }
    }
    return process.commands.execute(...asked)
  }
  return { ...process, commands: { ...process.commands, execute } }
}

let markets = 0
test('among the first 8 providers an honest one is found, however many listings the others have and however they refuse', async () => {
  const liar = fc.record({
    listings: fc.integer({ min: 1, max: 9 }),
    lie: fc.constantFrom(...Object.keys(lies)),
    isCheaper: fc.boolean(),
  })
  const outcomes = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.array(liar, { maxLength: 10 }), async (liars) => {
      const gpu = `Z${++markets}`
      const renter = `renter-${gpu}`
      await world.deposit(renter, 20_000_000n)
      const changes = liars.flatMap(({ listings, lie, isCheaper }, index) =>
        Array.from({ length: listings }, (_, each) => {
          const [listing, provider] = [`${gpu}-${index}-${each}`, `${gpu}-${index}`]
          return { told: [listing, provider, lie] as const, price: usdc(isCheaper ? 1_000_000n : 3_000_000n) }
        }),
      )
      await Promise.all(
        changes.map(({ told: [listing, provider], price }) => world.list(listing, 1, price, provider, gpu)),
      )
      await world.list(`${gpu}-honest`, 1, usdc(2_500_000n), `${gpu}-honest`, gpu)
      await projections.waitFor(await store.head(), 10_000)

      const asked = requestOf(renter, 'k', { gpu })
      const answer = await rentCheapest(openBetrayed(changes.map(({ told }) => told)), asked)
      if (isRefusal(answer)) throw new Error(answer.refused)
      const before = liars.filter(({ isCheaper }) => isCheaper)
      outcomes.add(answer.outcome)
      if (before.length < 8) {
        expect(answer.outcome).toBe('active')
        expect(await requestOfRental(answer.rental)).toMatchObject({ listing: `${gpu}-honest` })
      } else {
        const refused = [...Map.groupBy(before.slice(0, 8), ({ lie }) => lie)].map(([lie, of]) => `${of.length} ${lie}`)
        expect(answer).toMatchObject({ outcome: 'rejected', code: 'OFFERS_CHANGED', details: { tried: '8' } })
        const told = answer.outcome === 'rejected' ? answer.details?.refused?.split(', ') : []
        expect(told?.toSorted()).toEqual(refused.sort())
      }
      expect({ ...(await rentCheapest(openProcess(), asked)), position: 0 }).toEqual({ ...answer, position: 0 })
    }),
    { numRuns: 25, examples: [[Array(8).fill({ listings: 1, lie: 'LISTING_FULL', isCheaper: true })]] },
  )
  expect([...outcomes].sort()).toEqual(['active', 'rejected'])
}, 120_000)

/** Resolves to the event with which a rental began. */
const requestOfRental = async (rental: string) => {
  const { first } = await world.commands.current('rental', rental)
  return first?.event.type === 'RentalRequested' ? first.event : undefined
}

/** Resolves to the first rental that a renter has requested. */
const firstOf = async (renter: string): Promise<string | undefined> => {
  for await (const { stream, data } of store.readAll({ types: ['RentalRequested'] }))
    if ((data as { renter: string }).renter === renter) return stream.slice('rental-'.length)
  return undefined
}
