import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor, userActor } from '../commands/actor.ts'
import { commandIds, ids } from '../commands/derived-ids.ts'
import { type Commands, createCommands } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import type { AggregateName, CommandOf } from '../domain/aggregates.ts'
import { type ErrorCode, isRefusal } from '../domain/errors.ts'
import { lifecycles } from '../domain/lifecycle.testing.ts'
import { usdc } from '../domain/money.testing.ts'
import { isFinal } from '../domain/refusals.ts'
import { createMarket, oneByOne } from '../testing/worlds/market.ts'
import { type Faults, faults, faulty, runAll, shuffled } from './concurrent-runs.testing.ts'
import { rentSteps, sagaNames } from './names.ts'
import { causes, rentOneOf } from './rent-one-of.ts'

type Market = ReturnType<typeof createMarket>

const terms = {
  renter: 'ada',
  idempotencyKey: 'k',
  gpuCount: 1,
  seconds: 3600n,
  maxPricePerGpuHour: usdc(4_000_000n),
}
const asked = { gpu: 'H100' }
const rent = (process: Pick<Market, 'commands' | 'now'>, ...listings: readonly string[]) =>
  rentOneOf(process, terms, asked, async () => listings)

const send = async <Name extends AggregateName>(
  world: Market,
  to: Name,
  id: string,
  command: CommandOf<Name>,
  commandId = newId(),
) => {
  const actor = to === 'listing' && command.type !== 'ReserveCapacity' ? userActor('provider') : systemActor('test')
  const envelope = { commandId, correlationId: 'c', causationId: 'c', actor, time: world.now() }
  const answer = await world.commands.execute(to, id, command, envelope)
  if (isRefusal(answer)) throw new Error(answer.refused)
}

/** Returns a process in which something happens once the first rental is stored, before its saga runs. */
const meanwhile = (world: Market, happens: (rental: string) => Promise<unknown> | undefined) => {
  let happened = false
  const execute: Commands['execute'] = async (...command) => {
    const answer = await world.commands.execute(...command)
    if (command[2].type !== 'RequestRental' || happened) return answer
    happened = true
    await happens(command[1])
    return answer
  }
  return { ...world, commands: { ...world.commands, execute } }
}

/** What makes the first of two listings refuse with a code. Before the request: a code that is refused without an
 *  event. */
type Way = {
  readonly before?: (world: Market) => Promise<unknown>
  readonly after?: (world: Market, rental: string) => Promise<unknown> | undefined
  readonly request?: Partial<typeof terms>
  readonly listings?: readonly string[]
}
const deadlines = (world: Market) => ({ at: world.now(), notAfter: world.now() })
/** Codes that no state of the market leads to: a wallet sends its own command, a saga that cannot reject has been
 *  completed by another run, and a conflict has a test of its own. */
type Else = 'NOT_YOURS' | 'RENTAL_NOT_REQUESTED' | 'CONFLICT_UNRESOLVED'
const ways: Readonly<Record<Exclude<keyof typeof causes, Else>, Way>> = {
  LISTING_UNKNOWN: { listings: ['nowhere', 'second'] },
  LISTING_WITHDRAWN: { after: (world) => send(world, 'listing', 'first', { type: 'WithdrawListing' }) },
  LISTING_FULL: {
    after: (world) =>
      send(world, 'listing', 'first', {
        ...{ type: 'ReserveCapacity', rental: 'other', gpuCount: 4, maxPricePerGpuHour: terms.maxPricePerGpuHour },
        ...deadlines(world),
      }),
  },
  LISTING_TOO_SMALL: { request: { gpuCount: 5 } },
  PRICE_ABOVE_MAXIMUM: {
    after: (world) => send(world, 'listing', 'first', { type: 'ChangePrice', pricePerGpuHour: usdc(4_000_001n) }),
  },
  // As it was when holds were rounded down.
  AMOUNT_INVALID: {
    after: async (world, rental) => {
      const { first } = await world.commands.current('rental', rental)
      const commandId = commandIds.sagaStep(sagaNames.rentAGpu, first?.eventId ?? '', rentSteps.hold)
      const hold = { type: 'HoldFunds', user: 'ada', rental, amount: usdc(0n), ...deadlines(world) } as const
      await send(world, 'account', 'ada', hold, commandId)
    },
  },
  INSUFFICIENT_FUNDS: {
    after: (world) =>
      send(world, 'account', 'ada', {
        ...{ type: 'HoldFunds', user: 'ada', rental: 'other', amount: usdc(19_000_000n), ...deadlines(world) },
      }),
  },
  RENTAL_INVALID: { request: { gpuCount: 0 } },
  RENTAL_ALREADY_REQUESTED: {
    after: (world, rental) =>
      send(world, 'listing', 'first', {
        ...{ type: 'ReserveCapacity', rental, gpuCount: 1, maxPricePerGpuHour: terms.maxPricePerGpuHour },
        ...deadlines(world),
      }),
  },
  HOLD_ALREADY_EXISTS: {
    after: (world, rental) =>
      send(world, 'account', 'ada', { type: 'HoldFunds', user: 'ada', rental, amount: usdc(1n), ...deadlines(world) }),
  },
  IDEMPOTENCY_KEY_REUSED: {
    before: (world) => rentOneOf(world, { ...terms, seconds: 60n }, asked, async () => ['first']),
  },
  DEADLINE_PASSED: { after: async (world) => world.pass(31) },
  INPUT_INVALID: { request: { maxPricePerGpuHour: usdc(10n ** 100n) } },
}

/** Sets up two listings with 4 and 8 GPUs, and rents while the first refuses. */
const play = async ({ before, after, request = {}, listings = ['first', 'second'] }: Way) => {
  const world = createMarket()
  await world.list('first', 4)
  await world.list('second', 8)
  await world.deposit('ada', 20_000_000n)
  await before?.(world)
  const process = meanwhile(world, (rental) => after?.(world, rental))
  const ask = (by: Pick<Market, 'commands' | 'now'>) =>
    rentOneOf(by, { ...terms, ...request }, asked, async () => listings)
  const answer = await ask(process)
  return { world, answer, again: await ask({ ...world, commands: createCommands({ store: world.store }) }) }
}

describe('because of an offer the next one is tried, because of the request none', () => {
  test.each(Object.entries(ways))('%s', async (code, way) => {
    const { world, answer, again } = await play(way)
    expect(again).toEqual(answer)
    if (causes[code as keyof typeof causes] === 'offer') {
      expect(answer).toMatchObject({ outcome: 'active' })
      const { rental } = answer as { readonly rental: string }
      expect(await world.state('rental', rental)).toMatchObject({ listing: 'second' })
    } else expect(isRefusal(answer) ? answer.refused : 'code' in answer && answer.code).toBe(code)
  })

  test.each([0, 1, 2])('CONFLICT_UNRESOLVED at command %s: the same again goes on from there', async (at) => {
    const world = createMarket()
    await world.list('first', 1)
    await world.list('second', 1)
    await world.deposit('ada', 20_000_000n)
    const beaten = { now: world.now, commands: faulty(oneByOne(world.store), new Map([[at, 'beaten']])) }
    expect(await rent(beaten, 'first', 'second')).toMatchObject({ refused: 'CONFLICT_UNRESOLVED' })
    expect(await rent(world, 'first', 'second')).toMatchObject({ outcome: 'active', rental: ids.rental('ada', 'k') })
    expect(await world.state('listing', 'first')).toMatchObject({ reservedGpus: 1 })
  })

  test('the table has each code that the commands of a rental refuse with', () => {
    const sent = { listing: ['ReserveCapacity'], account: ['HoldFunds'], rental: ['RequestRental', 'ActivateRental'] }
    const codes = Object.entries(sent).flatMap(([name, commands]) =>
      Object.values(
        lifecycles[name as keyof typeof sent] as Readonly<Record<string, Readonly<Record<string, unknown>>>>,
      )
        .flatMap((row) => commands.flatMap((command) => row[command] as readonly { readonly refused?: ErrorCode }[]))
        .flatMap((outcome) => outcome.refused ?? []),
    )
    // What executing a command refuses, whichever it is, and what a key that is taken is answered with.
    const others = ['INPUT_INVALID', 'NOT_YOURS', 'CONFLICT_UNRESOLVED', 'IDEMPOTENCY_KEY_REUSED']
    expect(Object.keys(causes).sort()).toEqual([...new Set([...codes, ...others])].sort())
  })
})

describe('a listing that refuses before anything is stored', () => {
  const dear = async () => {
    const world = createMarket()
    await world.list('first', 1, usdc(3_900_000n))
    await world.list('second', 1)
    await world.deposit('ada', 3_600_000n)
    return world
  }

  test('is left out: the next one is the first of the key, also when the price is low again', async () => {
    const world = await dear()
    const answer = await rent(world, 'first', 'second')
    expect(answer).toMatchObject({ outcome: 'active', rental: ids.rental('ada', 'k') })
    const { first } = await world.commands.current('rental', ids.rental('ada', 'k'))
    expect(first?.event).toMatchObject({ placement: { gpu: 'H100', listings: ['second'] } })
    await world.deposit('ada', 20_000_000n)
    expect(await rent(world, 'first', 'second')).toEqual(answer)
    expect(await world.state('listing', 'first')).toMatchObject({ reservedGpus: 0 })
  })

  test('is the answer once a rental of the key is stored, and the key goes on there: it never has two rentals', async () => {
    const world = await dear()
    await world.list('third', 1)
    await world.list('gone', 1)
    await send(world, 'listing', 'gone', { type: 'WithdrawListing' })
    const ask = () => rent(world, 'gone', 'first', 'third')
    expect(await ask()).toMatchObject({ refused: 'INSUFFICIENT_FUNDS' })
    await world.deposit('ada', 20_000_000n)
    const answer = await ask()
    expect(answer).toMatchObject({ outcome: 'active', rental: ids.rental('ada', ids.keyOfTry('k', 1)) })
    expect(await ask()).toEqual(answer)
    expect(await world.state('listing', 'third')).toMatchObject({ reservedGpus: 0 })
  })

  test('is the answer where all do', async () => {
    const world = await dear()
    const head = await world.store.head()
    const answer = await rentOneOf(world, { ...terms, gpuCount: 3 }, asked, async () => ['second', 'first'])
    expect(answer).toMatchObject({ refused: 'INSUFFICIENT_FUNDS', details: { needed: '10.8 USDC' } })
    expect(await world.store.head()).toBe(head)
  })
})

test('any price is rented for any time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.bigInt(1n, 10_000n), fc.bigInt(1n, 10_000n), async (price, seconds) => {
      const world = createMarket()
      await world.list('first', 1, usdc(price))
      await world.deposit('ada', 1_000_000n)
      const answer = await rentOneOf(world, { ...terms, seconds }, asked, async () => ['first'])
      expect(answer).toMatchObject({ outcome: 'active' })
    }),
  )
})

test('two processes at once, whatever each finds and whatever happens: one answer per key, and one rental', async () => {
  const names = ['a', 'b', 'c', 'nowhere'] as const
  const found = fc.shuffledSubarray([...names], { minLength: 1, maxLength: 3 })
  const planned: fc.Arbitrary<Faults> = fc
    .array(fc.tuple(fc.nat(12), fc.constantFrom(...faults)), { maxLength: 2 })
    .map((entries) => new Map(entries))
  const change = fc.record({
    listing: fc.constantFrom('a', 'b', 'c'),
    command: fc.constantFrom<CommandOf<'listing'>>(
      { type: 'WithdrawListing' },
      // More than ada has, more than the maximum, and little.
      { type: 'ChangePrice', pricePerGpuHour: usdc(3_900_000n) },
      { type: 'ChangePrice', pricePerGpuHour: usdc(4_100_000n) },
      { type: 'ChangePrice', pricePerGpuHour: usdc(1n) },
    ),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.tuple(found, found),
      fc.tuple(planned, planned),
      fc.array(change, { maxLength: 4 }),
      fc.boolean(),
      async (scheduler, finds, faultsOf, changes, isOneByOne) => {
        const world = createMarket()
        for (const listing of ['a', 'b', 'c']) await world.list(listing, 1)
        await world.deposit('ada', 3_800_000n)
        const engine = isOneByOne ? oneByOne(world.store) : world.store
        const store = shuffled(engine, scheduler)
        const asks = finds.flatMap((listings, index) => {
          const process = { now: world.now, commands: faulty(store, faultsOf[index] ?? new Map()) }
          return [rent(process, ...listings), rent(process, ...listings)].map((answer) => answer.catch(() => undefined))
        })
        const happenings = changes.map(async ({ listing, command }) => {
          await scheduler.schedule(Promise.resolve())
          await send(world, 'listing', listing, command).catch(() => undefined)
        })
        const [answers] = await scheduler.waitFor(Promise.all([Promise.all(asks), Promise.all(happenings)]))
        await runAll(world, world)
        const last = await rent(world, ...finds[0])
        // What was refused before could be rented now.
        await world.deposit('ada', 20_000_000n)
        const cheap = { type: 'ChangePrice', pricePerGpuHour: usdc(2n) } as const
        for (const listing of ['a', 'b', 'c']) await send(world, 'listing', listing, cheap).catch(() => undefined)
        const later = await rent(world, ...finds[1])
        const settled = [...answers, last, later].filter(
          (answer) => answer !== undefined && !(isRefusal(answer) && !isFinal(answer.refused)),
        )
        const same = settled.map((answer) => ({ ...answer, position: undefined }))
        for (const answer of same) expect(answer).toEqual(same[0])
        let active = 0
        for await (const { type } of world.store.readAll({ types: ['RentalActivated'] })) active += type ? 1 : 0
        expect(active).toBeLessThanOrEqual(1)
      },
    ),
    { numRuns: 200 },
  )
}, 120_000)
