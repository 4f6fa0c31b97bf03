import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { EventOf } from '../domain/aggregates.ts'
import { posting } from '../domain/ledger.ts'
import { usdc } from '../domain/money.testing.ts'
import { createSpecLog } from './engine/log.testing.ts'
import { createFundingFold } from './money-funding.ts'
import { followMoney, payerOf, providerOf } from './money-uses.ts'

type AccountEvent = EventOf<'account'>
const between = (amount: bigint) => posting('from', 'to', usdc(amount))
const deposit = (payment: string, amount: bigint): AccountEvent => ({
  type: 'DepositCredited',
  user: 'ada',
  payment,
  posting: between(amount),
})
const earned = (rental: string, amount: bigint): AccountEvent => ({
  type: 'EarningsCredited',
  user: 'ada',
  rental,
  posting: between(amount),
})
const held = (rental: string, amount: bigint): AccountEvent => ({
  type: 'FundsHeld',
  user: 'ada',
  rental,
  posting: between(amount),
})
const captured = (rental: string, amount: bigint): AccountEvent => ({
  type: 'HoldCaptured',
  rental,
  posting: between(amount),
})
const released = (rental: string, amount: bigint): AccountEvent => ({
  type: 'HoldReleased',
  rental,
  posting: between(amount),
})

/** Resolves to what becomes of a credit in an account with these events. */
const usesOf = async (events: readonly AccountEvent[], source: 'deposit' | 'earnings', id: string) => {
  const log = createSpecLog()
  for (const event of events) await log.write('account', 'ada', event)
  return (await followMoney(log.store, { source, id, owner: 'ada' })).uses
}

describe('where the money of a credit went', () => {
  test('what came in first is spent first, and a part that is given back is held again', async () => {
    const events = [
      deposit('p1', 3n),
      earned('r0', 4n),
      held('r1', 5n),
      captured('r1', 2n),
      released('r1', 3n),
      held('r2', 4n),
      captured('r2', 4n),
    ]
    expect(await usesOf(events, 'deposit', 'p1')).toEqual([
      { rental: 'r1', held: usdc(3n), spent: usdc(2n) },
      { rental: 'r2', held: usdc(1n), spent: usdc(1n) },
    ])
    expect(await usesOf(events, 'earnings', 'r0')).toEqual([
      { rental: 'r1', held: usdc(2n), spent: usdc(0n) },
      { rental: 'r2', held: usdc(3n), spent: usdc(3n) },
    ])
  })

  test('of a credit that is not there, or not spent yet, is nothing', async () => {
    expect(await usesOf([deposit('p1', 3n), held('r1', 3n), deposit('p2', 3n)], 'deposit', 'p2')).toEqual([])
    expect(await usesOf([deposit('p1', 3n), held('r1', 3n)], 'earnings', 'p1')).toEqual([])
  })

  test('is where the holds say that they came from, and adds up to what the rentals cost', async () => {
    const step = fc.record({
      credit: fc.bigInt(1n, 50n),
      isEarned: fc.boolean(),
      hold: fc.bigInt(1n, 60n),
      charge: fc.bigInt(0n, 60n),
      endsAfter: fc.integer({ min: 0, max: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
        const events: AccountEvent[] = []
        const costs = new Map<string, bigint>()
        const credits: { source: 'deposit' | 'earnings'; id: string; amount: bigint }[] = []
        let open: { rental: string; held: bigint; charged: bigint; endsAt: number }[] = []
        let available = 0n
        for (const [index, { credit, isEarned, hold, charge, endsAfter }] of steps.entries()) {
          const source = isEarned ? 'earnings' : 'deposit'
          events.push(isEarned ? earned(`c${index}`, credit) : deposit(`c${index}`, credit))
          credits.push({ source, id: `c${index}`, amount: credit })
          available += credit
          const amount = hold < available ? hold : available
          if (amount > 0n) {
            events.push(held(`r${index}`, amount))
            available -= amount
            const charged = charge < amount ? charge : amount
            open.push({ rental: `r${index}`, held: amount, charged, endsAt: index + endsAfter })
          }
          for (const { rental, held: all, charged } of open.filter(({ endsAt }) => endsAt <= index)) {
            if (charged > 0n) events.push(captured(rental, charged))
            if (charged < all) events.push(released(rental, all - charged))
            costs.set(rental, charged)
            available += all - charged
          }
          open = open.filter(({ endsAt }) => endsAt > index)
        }
        const spent = new Map<string, bigint>()
        const backwards = new Map<string, bigint>()
        for (const rental of events.flatMap((event) => (event.type === 'FundsHeld' ? [event.rental] : []))) {
          const fold = createFundingFold(rental)
          for (const event of events) fold.add(event)
          for (const { id, amount } of fold.funding()) {
            const key = `${id} ${rental}`
            backwards.set(key, (backwards.get(key) ?? 0n) + amount.amount)
          }
        }
        const forwards = new Map<string, bigint>()
        for (const { source, id, amount } of credits) {
          let ofCredit = 0n
          for (const use of await usesOf(events, source, id)) {
            forwards.set(`${id} ${use.rental}`, use.held.amount)
            spent.set(use.rental, (spent.get(use.rental) ?? 0n) + use.spent.amount)
            ofCredit += use.spent.amount
          }
          expect(ofCredit <= amount).toBe(true)
        }
        expect(forwards).toEqual(backwards)
        for (const [rental, cost] of costs) expect(spent.get(rental)).toBe(cost)
      }),
      { numRuns: 50 },
    )
  })
})

test('a payment and a rental that do not exist are of nobody', async () => {
  const { store } = createSpecLog()
  expect([await payerOf(store, 'nothing'), await providerOf(store, 'nothing')]).toEqual([undefined, undefined])
})
