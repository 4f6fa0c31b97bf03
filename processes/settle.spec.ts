import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor, userActor } from '../commands/actor.ts'
import { createCommands, requestEnvelope } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import { isRefusal } from '../domain/errors.ts'
import { freeGpus } from '../domain/listing.ts'
import { usdc } from '../domain/money.testing.ts'
import { emptyMap } from '../domain/persistent-map.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { breakingAt, chartOf, createMarket } from '../testing/worlds/market.ts'
import { shuffled } from './concurrent-runs.testing.ts'
import { endRental } from './end-rental.ts'
import { meterPeriod } from './meter.ts'
import { requestRental } from './rent-a-gpu.ts'
import { runSaga } from './saga.ts'
import { settle } from './settle.ts'

const deposit = 10_000_000n
/** Per GPU and hour. The rental takes two GPUs for an hour. */
const price = 3_600_007n
const noop = async () => undefined

/** Creates a rental metered after each of the runs, in seconds, and returned after the last; not settled yet. */
const endedRental = async (...runs: readonly number[]) => {
  const { rental, ...world } = await createActiveRental({ listedGpus: 4, gpuCount: 2, pricePerGpuHour: price, deposit })
  const meter = { ...world, heartbeats: steadyHeartbeats(), schedule: noop, chargePeriodSeconds: 300 }
  let before = 0
  for (const [index, run] of runs.entries()) {
    world.pass(run - before)
    before = run
    if (index < runs.length - 1) await meterPeriod(meter, { rental, period: index + 1 })
  }
  await endRental(meter, rental, 'returned', userActor('ada'))
  const { history } = await world.commands.load('rental', rental)
  const revision = history.at(-1)?.revision ?? 0n
  const settleWith = (commands = world.commands) =>
    runSaga({ commands, now: world.now }, settle, { id: rental, revision })
  return { ...world, rental, settleWith }
}
type World = Awaited<ReturnType<typeof endedRental>>

const logOf = async (store: EventStore) => {
  const events = []
  for await (const event of store.readAll()) events.push(event)
  return events
}

const invoiceOf = async ({ commands, rental }: World) => {
  const { history } = await commands.load('rental', rental)
  const invoices = history.flatMap(({ event }) => (event.type === 'InvoiceIssued' ? [event] : []))
  expect(invoices).toHaveLength(1)
  const metered = history.filter(({ event }) => event.type === 'UsageMetered')
  return { invoice: invoices[0], metered }
}

/** Expects the charge with the provider, the rest with the renter, and nothing held or in transit. */
const expectSettled = async (world: World, charge: bigint) => {
  expect(await world.state('rental', world.rental)).toMatchObject({ status: 'settled', charged: usdc(charge) })
  expect(await world.state('account', 'ada')).toMatchObject({
    holds: emptyMap,
    balances: new Map([['USDC/6', { available: deposit - charge, held: 0n }]]),
  })
  const provider = await world.state('account', 'provider')
  if (charge === 0n) expect(provider).toEqual({ status: 'none' })
  else expect(provider).toMatchObject({ balances: new Map([['USDC/6', { available: charge, held: 0n }]]) })
  const listing = await world.state('listing', 'h100')
  expect(listing.status === 'open' && freeGpus(listing)).toBe(4)
  const chart = await chartOf(world.store)
  for (const [account, sum] of chart)
    if (account.startsWith('transit:')) expect({ account, sum }).toEqual({ account, sum: 0n })
  expect(chart.get('user:ada:held')).toBe(0n)
  expect([...chart.values()].reduce((sum, amount) => sum + amount, 0n)).toBe(0n)
  const { invoice, metered } = await invoiceOf(world)
  expect(invoice).toMatchObject({ total: usdc(charge), released: usdc(2n * price - charge) })
  expect(invoice?.lines.reduce((sum, { periods }) => sum + periods, 0)).toBe(metered.length)
  expect(invoice?.lines[0]?.firstEventId).toBe(metered[0]?.eventId)
  expect(invoice?.lines.at(-1)?.lastEventId).toBe(metered.at(-1)?.eventId)
  expect(invoice?.lines.reduce((sum, { amount }) => sum + amount.amount, 0n)).toBe(charge)
}

/** Returns the charge for two GPUs, by the second, rounded down once. */
const owed = (seconds: number) => (2n * price * BigInt(seconds)) / 3600n

describe('a settled rental', () => {
  test('costs its exact seconds; the rest of the hold is released, the provider has the charge', async () => {
    const world = await endedRental(1234)
    expect(await world.settleWith()).toMatchObject({ outcome: 'done', position: await world.store.head() })
    expect(owed(1234)).toBe(2_468_004n)
    await expectSettled(world, owed(1234))
  })

  test('that ran its whole time releases nothing', async () => {
    const world = await endedRental(3600)
    await world.settleWith()
    await expectSettled(world, 2n * price)
    expect((await logOf(world.store)).map(({ type }) => type)).not.toContain('HoldReleased')
  })

  test('that was never used costs nothing, and pays no provider', async () => {
    const world = await endedRental(0)
    await world.settleWith()
    await expectSettled(world, 0n)
    const types = (await logOf(world.store)).map(({ type }) => type)
    expect(types).not.toContain('HoldCaptured')
    expect(types).not.toContain('EarningsCredited')
    expect((await invoiceOf(world)).invoice?.lines).toEqual([])
  })

  test('has an invoice with a line for a day, which cites the first and the last period', async () => {
    const world = await endedRental(300, 600, 600, 777)
    await world.settleWith()
    await expectSettled(world, owed(777))
    const { invoice, metered } = await invoiceOf(world)
    expect(metered).toHaveLength(3)
    expect(invoice?.lines).toEqual([
      {
        firstEventId: metered[0]?.eventId,
        lastEventId: metered[2]?.eventId,
        periods: 3,
        description: `2 × H100 on ${world.now().slice(0, 10)}, second 1 to 777`,
        seconds: 777n,
        amount: usdc(owed(777)),
      },
    ])
  })

  test('of 20,000 charge periods has a line for each of its days, and none of its events was held', async () => {
    const periods = 20_000
    const seconds = BigInt(300 * periods)
    const world = await createActiveRental({ seconds, deposit: 10n ** 12n })
    const { commands, rental, now, store } = world
    for (let period = 1; period <= periods; period += 1) {
      world.pass(300)
      const meter = { type: 'MeterRental', runSeconds: BigInt(300 * period), meteredAt: now() } as const
      const answer = await commands.execute(
        'rental',
        rental,
        meter,
        requestEnvelope(`meter-${period}`, systemActor('meter'), now()),
      )
      if (isRefusal(answer)) throw new Error(answer.refused)
    }
    const heartbeats = { acknowledged: async () => seconds }
    await endRental({ ...world, heartbeats }, rental, 'expired', systemActor('meter'))
    const bound = {
      commands: { ...commands, load: () => Promise.reject(new Error('the whole history was asked for')) },
      now,
    }
    await runSaga(bound, settle, { id: rental, revision: (await commands.current('rental', rental)).revision ?? 0n })
    const last = await Array.fromAsync(store.readStream(`rental-${rental}`, { direction: 'backwards', limit: 1 }))
    const [{ lines, total }] = last.map(({ data }) => data) as unknown as [
      { lines: { periods: number }[]; total: { amount: string } },
    ]
    expect(total.amount).toBe(String((3_600_000n * seconds) / 3600n))
    expect(lines.length).toBeLessThanOrEqual(Math.ceil((periods * 300) / 86_400) + 1)
    expect(lines.reduce((sum, line) => sum + line.periods, 0)).toBe(periods)
  })

  test('can be traced: every step names the end of the rental as its cause, and the process as its actor', async () => {
    const world = await endedRental(10)
    const before = (await logOf(world.store)).length
    await world.settleWith()
    const { history } = await world.commands.load('rental', world.rental)
    const end = history.find(({ event }) => event.type === 'RentalEnded')
    const steps = (await logOf(world.store)).slice(before)
    expect(steps.map(({ type }) => type)).toEqual([
      'HoldCaptured',
      'HoldReleased',
      'EarningsCredited',
      'CapacityFreed',
      'InvoiceIssued',
    ])
    for (const { metadata } of steps)
      expect(metadata).toMatchObject({
        actor: systemActor('settle'),
        causationId: end?.eventId,
        correlationId: history[0]?.correlationId,
      })
    expect(steps[0]?.metadata.commandId).toBe(derivedId('settle', end?.eventId ?? '', 'capture'))
  })

  test('is settled once, however often the saga is run', async () => {
    const world = await endedRental(1234)
    await world.settleWith()
    const head = await world.store.head()
    world.pass(60)
    expect(await world.settleWith()).toMatchObject({ outcome: 'done', position: head })
    expect(await world.store.head()).toBe(head)
  })

  test('of a provider who rents from himself leaves him what he had', async () => {
    const world = createMarket()
    await world.list('h100', 1, usdc(price), 'ada')
    await world.deposit('ada', deposit)
    const request = { renter: 'ada', idempotencyKey: 'own', listing: 'h100', gpuCount: 1, seconds: 60n }
    const rented = await requestRental(world, { ...request, maxPricePerGpuHour: usdc(price) })
    if (isRefusal(rented)) throw new Error(rented.refused)
    const heartbeats = { acknowledged: async () => 30n, begin: noop, beat: noop, end: noop }
    await endRental({ ...world, heartbeats }, rented.rental, 'returned', userActor('ada'))
    await runSaga(world, settle, { id: rented.rental, revision: 3n })
    expect(await world.state('account', 'ada')).toMatchObject({
      holds: emptyMap,
      balances: new Map([['USDC/6', { available: deposit, held: 0n }]]),
    })
  })
})

describe('a run that dies half way', () => {
  const cases = [1, 2, 3, 4].flatMap((at) => (['before', 'after'] as const).map((when) => ({ at, when })))

  test.each(cases)('is run to its end when it dies $when append $at', async ({ at, when }) => {
    for (const run of [1234, 3600]) {
      const world = await endedRental(600, run)
      const dying = createCommands({ store: breakingAt(world.store, at, when) })
      await expect(world.settleWith(dying)).rejects.toThrow('connection lost')
      world.pass(3600)
      expect(await world.settleWith(createCommands({ store: world.store }))).toMatchObject({ outcome: 'done' })
      await expectSettled(world, owed(run))
    }
  })

  test('has no more appends than those', async () => {
    const world = await endedRental(600, 1234)
    await world.settleWith(createCommands({ store: breakingAt(world.store, 5, 'before') }))
    await expectSettled(world, owed(1234))
  })
})

test('any number of runs, in any order and at any time, settle it once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 0, max: 4000 }), async (scheduler, run) => {
      const world = await endedRental(run)
      const store = shuffled(world.store, scheduler)
      // Each has its own commands and clock, as other processes have: what they write differs in its time.
      const runAt = (second: number) =>
        runSaga({ commands: createCommands({ store }), now: () => `2026-01-02T00:00:0${second}.000Z` }, settle, {
          id: world.rental,
          revision: run === 0 ? 2n : 3n,
        })
      const outcomes = await scheduler.waitFor(Promise.all([1, 2, 3].map(runAt)))
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done'])
      await expectSettled(world, owed(Math.min(run, 3600)))
      const times = (await logOf(world.store)).filter(({ type }) => type === 'InvoiceIssued')
      expect(times).toHaveLength(1)
    }),
    { numRuns: 50 },
  )
})
