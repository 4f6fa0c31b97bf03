// Several processes run every saga at once, and each of them may be beaten, lose the database or die at any of its
// commands, while prices change, listings go and time passes. In the end all of them agree, and nothing is left.

import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor, systemActors, userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { entriesOf, mapOf } from '../domain/persistent-map.testing.ts'
import { emptyMap } from '../domain/persistent-map.ts'
import { isFinal } from '../domain/refusals.ts'
import { chartOf, createMarket, oneByOne } from '../testing/worlds/market.ts'
import {
  checkLeases,
  type Faults,
  faults,
  faulty,
  idsOf,
  type Market,
  runAll,
  shuffled,
} from './concurrent-runs.testing.ts'
import { endAndSettle } from './end-rental.ts'
import { type RentalRequest, requestRental } from './rent-a-gpu.ts'

beforeEach(() => {
  jest.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(() => {
  jest.restoreAllMocks()
})

const hour = 3_600_000n
const heartbeats = { acknowledged: async () => 7n }

const requestOf = (renter: string, idempotencyKey: string): RentalRequest => ({
  renter,
  idempotencyKey,
  listing: 'h100',
  gpuCount: 1,
  seconds: 3600n,
  maxPricePerGpuHour: usdc(4_000_000n),
})

/** What else happens to the market meanwhile: each makes a step of a saga refused, or a refused one possible. */
const changes = {
  'the price rises': (world: Market) => change(world, { type: 'ChangePrice', pricePerGpuHour: usdc(5_000_000n) }),
  'the listing goes': (world: Market) => change(world, { type: 'WithdrawListing' }),
  'the listing comes': (world: Market) => world.list('h100', 1).catch(() => undefined),
  'money comes': (world: Market) => world.deposit('ada', hour),
  'time passes': async (world: Market) => world.pass(20),
} satisfies Record<string, (world: Market) => Promise<unknown>>
type Change = keyof typeof changes

const change = (world: Market, command: CommandOf<'listing'>) => {
  const envelope = { commandId: newId(), correlationId: 'c', causationId: 'c', time: world.now() }
  return world.commands.execute('listing', 'h100', command, { ...envelope, actor: userActor('provider') })
}

type Plan = {
  readonly gpus: number
  /** How many hours ada can pay. */
  readonly hours: number
  readonly requests: readonly (readonly [renter: string, key: string])[]
  /** A process each: two requests, the worker. */
  readonly walkers: readonly [Faults, Faults, Faults]
  readonly changes: readonly Change[]
  /** Whether the engine appends to one stream at a time. */
  readonly isOneByOne: boolean
  /** How long the platform stays away before the worker comes back. */
  readonly awaySeconds: number
}

/** Runs everything that a plan names at once, then the worker alone, and expects that all is whole. */
const play = async (plan: Plan, scheduler: fc.Scheduler | undefined): Promise<Market> => {
  const world = createMarket()
  if (plan.gpus > 0) await world.list('h100', plan.gpus)
  if (plan.hours > 0) await world.deposit('ada', BigInt(plan.hours) * hour)
  await world.deposit('bob', hour)
  const engine = plan.isOneByOne ? oneByOne(world.store) : world.store
  const store = scheduler ? shuffled(engine, scheduler) : engine
  const processes = plan.walkers.map((planned) => ({ now: world.now, commands: faulty(store, planned) }))
  const [one, two, worker] = processes as [(typeof processes)[0], (typeof processes)[0], (typeof processes)[0]]

  const answers = new Map<string, unknown[]>()
  const ask = async (process: Pick<Market, 'commands' | 'now'>, [renter, key]: readonly [string, string]) => {
    const answer = await requestRental(process, requestOf(renter, key)).catch(() => undefined)
    if (answer === undefined || (isRefusal(answer) && !isFinal(answer.refused))) return
    const { position, ...same } = isRefusal(answer) ? { ...answer, position: undefined } : answer
    answers.set(key, [...(answers.get(key) ?? []), same])
  }
  const work = [
    ...plan.requests.flatMap((request) => [() => ask(one, request), () => ask(two, request)]),
    ...plan.changes.map((name) => async () => {
      if (scheduler) await scheduler.schedule(Promise.resolve(), name)
      await changes[name](world)
    }),
    () => runAll(world, worker).catch(() => undefined),
  ]
  if (scheduler) await scheduler.waitFor(Promise.all(work.map((begin) => begin())))
  else for (const begin of work) await begin()

  world.pass(plan.awaySeconds)
  await runAll(world, world)
  await checkLeases(world)
  await expectWhole(world)
  for (const request of plan.requests) await ask(world, request)
  for (const same of answers.values()) for (const answer of same) expect(answer).toEqual(same[0])
  await endAll(world, store, plan, scheduler)
  return world
}

/** Ends each active rental twice, as its renter and as its timer, and expects that nothing is left. */
const endAll = async (world: Market, store: Market['store'], plan: Plan, scheduler: fc.Scheduler | undefined) => {
  const processes = plan.walkers.map((planned) => ({ now: world.now, heartbeats, commands: faulty(store, planned) }))
  const [one, two] = processes as [(typeof processes)[0], (typeof processes)[0]]
  const active = []
  for (const id of await idsOf(world, 'rental')) {
    const rental = await world.state('rental', id)
    if (rental.status === 'active') active.push({ id, renter: rental.renter })
  }
  const ends = active.flatMap(({ id, renter }) => [
    () => endAndSettle(one, id, 'returned', userActor(renter)).catch(() => undefined),
    () => endAndSettle(two, id, 'expired', systemActors.meter).catch(() => undefined),
  ])
  if (scheduler) await scheduler.waitFor(Promise.all(ends.map((end) => end())))
  else for (const end of ends) await end()
  // The timer fires again until it has ended.
  for (const { id } of active) await endAndSettle({ ...world, heartbeats }, id, 'expired', systemActors.meter)
  await runAll(world, world)
  await checkLeases(world)
  for (const { id } of active) expect(await world.state('rental', id)).toMatchObject({ status: 'settled' })
  await expectWhole(world)
  const listing = await world.state('listing', 'h100')
  if (listing.status !== 'none') expect(listing.reservations).toEqual(emptyMap)
}

/** Expects that GPUs and money are with the active rentals alone, and that the books are balanced. */
const expectWhole = async (world: Market) => {
  const active = new Map<string, number>()
  for (const id of await idsOf(world, 'rental')) {
    const rental = await world.state('rental', id)
    expect(['active', 'rejected', 'settled']).toContain(rental.status)
    if (rental.status === 'active') active.set(id, rental.gpuCount)
  }
  const listing = await world.state('listing', 'h100')
  if (listing.status !== 'none') expect(listing.reservations).toEqual(mapOf(active))
  const holds: string[] = []
  for (const id of await idsOf(world, 'account')) {
    const account = await world.state('account', id)
    if (account.status === 'open') holds.push(...entriesOf(account.holds).map(([id]) => id))
  }
  expect(holds.sort()).toEqual([...active.keys()].sort())
  const chart = await chartOf(world.store)
  expect([...chart.values()].reduce((sum, amount) => sum + amount, 0n)).toBe(0n)
  for (const [account, amount] of chart)
    if (account.startsWith('rental-transit') || account.startsWith('deposit-transit')) expect(amount).toBe(0n)
}

const none: Faults = new Map()
const commandsOfOneRental = 7

describe('one request, run by two processes', () => {
  const cases = faults.flatMap((fault) => Array.from({ length: commandsOfOneRental }, (_, at) => ({ fault, at })))
  const markets = [
    { name: 'all goes well', gpus: 1, hours: 1, changes: [] },
    { name: 'there is no listing', gpus: 0, hours: 1, changes: [] },
    { name: 'the listing comes in between', gpus: 0, hours: 1, changes: ['the listing comes'] },
    { name: 'the money goes elsewhere', gpus: 2, hours: 1, changes: [], others: 'more' },
  ] as const

  test.each(cases)('ends whole when its first process is $fault at command $at', async ({ fault, at }) => {
    for (const market of markets)
      for (const [awaySeconds, isOneByOne] of [
        [0, false],
        [0, true],
        [18_000, true],
      ] as const) {
        const requests = [['ada', 'a'], ...('others' in market ? [['ada', 'b'] as const] : [])] as Plan['requests']
        const walkers = [new Map([[at, fault]]), none, none] as const
        await play({ ...market, requests, walkers, awaySeconds, isOneByOne }, undefined)
      }
  })
})

test('any processes, faults, changes and orders: whole, alike for the same key, and nothing is left', async () => {
  const planned: fc.Arbitrary<Faults> = fc
    .array(fc.tuple(fc.nat(12), fc.constantFrom(...faults)), { maxLength: 3 })
    .map((entries) => new Map(entries))
  const plan: fc.Arbitrary<Plan> = fc.record({
    gpus: fc.integer({ min: 0, max: 2 }),
    hours: fc.integer({ min: 0, max: 2 }),
    requests: fc.subarray([['ada', 'a'] as const, ['ada', 'b'] as const, ['bob', 'c'] as const], { minLength: 1 }),
    walkers: fc.tuple(planned, planned, planned),
    changes: fc.array(fc.constantFrom(...(Object.keys(changes) as Change[])), { maxLength: 3 }),
    isOneByOne: fc.boolean(),
    awaySeconds: fc.constantFrom(0, 25, 18_000),
  })
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), plan, async (scheduler, planned) => {
      await play(planned, scheduler)
    }),
    { numRuns: 300 },
  )
}, 120_000)

test('a final deposit is credited once, whatever happens to the processes', async () => {
  for (const fault of faults)
    for (const other of faults) {
      const world = createMarket()
      const envelope = { correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() }
      const seen = { payment: 'p', user: 'ada', amount: usdc(7n), chainId: 1, transactionHash: 't', blockHash: 'b' }
      const observe = { type: 'ObserveDeposit', blockNumber: 1n, ...seen } as const
      await world.commands.execute('payment', 'p', observe, { ...envelope, commandId: newId() })
      await world.commands.execute('payment', 'p', { type: 'FinalizeDeposit' }, { ...envelope, commandId: newId() })
      const run = (fault: (typeof faults)[number]) =>
        runAll(world, { now: world.now, commands: faulty(world.store, new Map([[0, fault]])) }).catch(() => undefined)
      await Promise.all([run(fault), run(other)])
      await runAll(world, { now: world.now, commands: createCommands({ store: world.store }) })
      expect(await world.state('account', 'ada')).toMatchObject({
        balances: new Map([['USDC/6', { available: 7n, held: 0n }]]),
      })
    }
})
