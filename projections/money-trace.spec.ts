import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { userActor } from '../commands/actor.ts'
import type { DomainEvent } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { posting } from '../domain/ledger.ts'
import { usdc } from '../domain/money.testing.ts'
import { endAndSettle } from '../processes/end-rental.ts'
import { requestRental } from '../processes/rent-a-gpu.ts'
import { fromLine, linesOf, loadGoldenLog } from '../testing/golden/log.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { createFundingFold } from './money-funding.ts'
import { renterOf, traceMoney } from './money-trace.ts'

const fundingOf = (events: readonly DomainEvent[], rental: string) => {
  const fold = createFundingFold(rental)
  for (const event of events) fold.add(event)
  return fold.funding()
}
const between = (amount: bigint) => posting('from', 'to', usdc(amount))
const deposit = (payment: string, amount: bigint): DomainEvent => ({
  type: 'DepositCredited',
  user: 'ada',
  payment,
  posting: between(amount),
})
const earned = (rental: string, amount: bigint): DomainEvent => ({
  type: 'EarningsCredited',
  user: 'ada',
  rental,
  posting: between(amount),
})
const held = (rental: string, amount: bigint): DomainEvent => ({
  type: 'FundsHeld',
  user: 'ada',
  rental,
  posting: between(amount),
})
const captured = (rental: string, amount: bigint): DomainEvent => ({
  type: 'HoldCaptured',
  rental,
  posting: between(amount),
})
const released = (rental: string, amount: bigint): DomainEvent => ({
  type: 'HoldReleased',
  rental,
  posting: between(amount),
})

describe('where the money of a hold came from', () => {
  test('what came in first is spent first, from one source after the other', () => {
    const events = [deposit('p1', 3n), earned('r0', 4n), deposit('p2', 5n), held('r1', 8n)]
    expect(fundingOf(events, 'r1')).toEqual([
      { source: 'deposit', id: 'p1', amount: usdc(3n) },
      { source: 'earnings', id: 'r0', amount: usdc(4n) },
      { source: 'deposit', id: 'p2', amount: usdc(1n) },
    ])
  })

  test('released money is there for the next hold, in its old order', () => {
    const events = [
      deposit('p1', 3n),
      deposit('p2', 5n),
      held('r1', 6n),
      captured('r1', 2n),
      released('r1', 4n),
      held('r2', 5n),
    ]
    expect(fundingOf(events, 'r2')).toEqual([
      { source: 'deposit', id: 'p1', amount: usdc(1n) },
      { source: 'deposit', id: 'p2', amount: usdc(4n) },
    ])
  })

  test('of a rental that never held any is nothing', () => {
    expect(fundingOf([deposit('p1', 3n)], 'r1')).toEqual([])
  })

  test('costs each event the same, however many came before', () => {
    const events: DomainEvent[] = Array.from({ length: 20_000 }, (_, number) => deposit(`p${number}`, 1n))
    for (let number = 0; number < 500; number++)
      events.push(held(`r${number}`, 19_000n), captured(`r${number}`, 1n), released(`r${number}`, 18_999n))
    events.push(held('last', 10_000n))
    const began = process.cpuUsage()
    const funding = fundingOf(events, 'last')
    const { user } = process.cpuUsage(began)
    expect(funding).toHaveLength(10_000)
    expect([funding[0]?.id, funding.at(-1)?.id]).toEqual(['p500', 'p10499'])
    expect(user / 1_000).toBeLessThan(2_000)
  })

  test('always adds up to what was held, and no deposit is spent twice', () => {
    const step = fc.record({ deposit: fc.bigInt(1n, 50n), hold: fc.bigInt(1n, 60n), charge: fc.bigInt(0n, 60n) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const events: DomainEvent[] = []
        const spent = new Map<string, bigint>()
        let available = 0n
        for (const [index, { deposit: amount, hold, charge }] of steps.entries()) {
          events.push(deposit(`p${index}`, amount))
          available += amount
          const holds = hold < available ? hold : available
          const charges = charge < holds ? charge : holds
          events.push(held(`r${index}`, holds))
          if (charges > 0n) events.push(captured(`r${index}`, charges))
          if (charges < holds) events.push(released(`r${index}`, holds - charges))
          available -= charges
          const funding = fundingOf(events, `r${index}`)
          expect(funding.reduce((sum, { amount }) => sum + amount.amount, 0n)).toBe(holds)
          // The charge is what the first lots of the hold are worth.
          let open = charges
          for (const { id, amount } of funding) {
            const part = amount.amount < open ? amount.amount : open
            spent.set(id, (spent.get(id) ?? 0n) + part)
            open -= part
          }
        }
        for (const [index, { deposit: amount }] of steps.entries())
          expect((spent.get(`p${index}`) ?? 0n) <= amount).toBe(true)
      }),
    )
  })
})

describe('the trace of a rental', () => {
  const rentFor = async (seconds: number) => {
    const world = createMarket()
    await world.list('h100', 1)
    await world.deposit('ada', 1_000_000n)
    await world.deposit('ada', 9_000_000n)
    const request = { renter: 'ada', idempotencyKey: 'one', listing: 'h100', gpuCount: 1, seconds: 3600n }
    const rented = await requestRental(world, { ...request, maxPricePerGpuHour: usdc(4_000_000n) })
    if (isRefusal(rented)) throw new Error(rented.refused)
    const acknowledged = async () => BigInt(seconds)
    world.pass(seconds)
    await endAndSettle({ ...world, heartbeats: { acknowledged } }, rented.rental, 'returned', userActor('ada'))
    return { ...world, rental: rented.rental }
  }

  test('goes from the transactions on chain to the invoice, in the order of the log, each step citing its source', async () => {
    const world = await rentFor(10)
    const trace = await traceMoney(world.store, world.rental)
    expect(trace?.steps.map(({ type }) => type)).toEqual([
      ...[
        'DepositObserved',
        'DepositFinalized',
        'DepositCredited',
        'DepositObserved',
        'DepositFinalized',
        'DepositCredited',
      ],
      ...['RentalRequested', 'FundsHeld', 'RentalActivated', 'UsageMetered', 'RentalEnded'],
      ...['HoldCaptured', 'HoldReleased', 'EarningsCredited', 'InvoiceIssued'],
    ])
    expect(trace?.funding.map(({ amount }) => amount)).toEqual([usdc(1_000_000n), usdc(2_600_000n)])
    const known = new Set(trace?.steps.map(({ eventId }) => eventId))
    const invoice = trace?.steps.at(-1)
    expect(invoice?.cites).toEqual([trace?.steps.find(({ type }) => type === 'UsageMetered')?.eventId])
    for (const type of ['HoldCaptured', 'EarningsCredited', 'FundsHeld', 'DepositCredited'])
      for (const step of trace?.steps.filter((step) => step.type === type) ?? [])
        expect(known.has(step.cites[0] ?? '')).toBe(true)
  })

  test('leaves every transit account empty', async () => {
    const world = await rentFor(10)
    const trace = await traceMoney(world.store, world.rental)
    const sums = new Map<string, bigint>()
    for (const { posting } of trace?.steps ?? []) {
      if (!posting) continue
      sums.set(posting.debit, (sums.get(posting.debit) ?? 0n) + posting.amount.amount)
      sums.set(posting.credit, (sums.get(posting.credit) ?? 0n) - posting.amount.amount)
    }
    for (const [account, sum] of sums) if (account.startsWith('transit:')) expect(sum).toBe(0n)
    expect([...sums.keys()].filter((account) => account.startsWith('transit:'))).toHaveLength(3)
  })

  test('comes in pages, which together have each step once, a deposit with its credit', async () => {
    const world = await rentFor(10)
    const whole = await traceMoney(world.store, world.rental)
    for (const itemsMax of [1, 2, 3, 7]) {
      const steps: string[] = []
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page = await traceMoney(world.store, world.rental, { after, itemsMax })
        expect(page?.funding).toEqual(whole?.funding)
        steps.push(...(page?.steps.map(({ eventId }) => eventId) ?? []))
        after = page?.next
      }
      expect(steps.toSorted()).toEqual(whole?.steps.map(({ eventId }) => eventId).toSorted())
    }
  })

  test('has a sentence of its own for each event, whatever happened to the rental', async () => {
    const { store } = createMarket()
    await loadGoldenLog(store)
    const steps = []
    for (const { stream } of linesOf('events.jsonl').map(fromLine))
      if (stream.startsWith('rental-'))
        steps.push(...((await traceMoney(store, stream.slice('rental-'.length)))?.steps ?? []))
    const said = new Map(steps.map(({ type, what }) => [type, what]))
    for (const [type, what] of said) expect(what).not.toContain(type)
    expect(new Set(said.values()).size).toBe(said.size)
    expect([...said.keys()]).toEqual(
      expect.arrayContaining(['RentalRejected', 'RentalJobAdmitted', 'RentalJobClosed', 'RentalEndRequested']),
    )
  })

  test('shows who may see it from one event alone', async () => {
    const world = await rentFor(10)
    let read = 0
    const store = {
      readStream: async function* (...of: Parameters<typeof world.store.readStream>) {
        for await (const event of world.store.readStream(...of)) {
          read += 1
          yield event
        }
      },
    }
    expect([await renterOf(store, world.rental), read]).toEqual(['ada', 1])
  })

  test('of a rental that does not exist is nothing', async () => {
    expect(await traceMoney(createMarket().store, 'nothing')).toBeUndefined()
  })
})
