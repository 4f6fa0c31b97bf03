import { describe, expect, test } from '@jest/globals'
import type { Event } from '../domain/account.ts'
import { chart, posting } from '../domain/ledger.ts'
import { usdc } from '../domain/money.testing.ts'
import { money } from '../domain/money.ts'
import { accounts } from './accounts.ts'
import { at, createSpecLog, rowsOf, stampsOf } from './engine/log.testing.ts'
import { ledgerEntries } from './ledger-entries.ts'

const user = '0xr'
const deposit = (amount = usdc(100n)): Event => ({
  type: 'DepositCredited',
  user,
  payment: 'p1',
  posting: posting(chart.depositTransit('p1'), chart.available(user), amount),
})
const hold: Event = {
  type: 'FundsHeld',
  user,
  rental: 'r1',
  posting: posting(chart.available(user), chart.held(user), usdc(60n)),
}
const capture: Event = {
  type: 'HoldCaptured',
  rental: 'r1',
  posting: posting(chart.held(user), chart.rentalTransit('r1'), usdc(25n)),
}
const release: Event = {
  type: 'HoldReleased',
  rental: 'r1',
  posting: posting(chart.held(user), chart.available(user), usdc(35n)),
}
const refused: Event = { type: 'HoldRefused', user, rental: 'r2', amount: usdc(1n), code: 'INSUFFICIENT_FUNDS' }
const earn: Event = {
  type: 'EarningsCredited',
  user,
  rental: 'r3',
  posting: posting(chart.rentalTransit('r3'), chart.available(user), usdc(7n)),
}

describe('an account', () => {
  const rows = (...events: Event[]) => rowsOf(accounts, 'account', user, ...events)
  const row = (available: bigint, held: bigint, event: number) => ({
    id: '0xr:USDC/6',
    user,
    asset: 'USDC/6',
    available,
    held,
    ...stampsOf(event),
  })

  test('has what was deposited', async () => expect(await rows(deposit())).toEqual([row(100n, 0n, 0)]))
  test('holds for a rental', async () => expect(await rows(deposit(), hold)).toEqual([row(40n, 60n, 1)]))
  test('pays out of the hold', async () => expect(await rows(deposit(), hold, capture)).toEqual([row(40n, 35n, 2)]))
  test('gets the rest back', async () =>
    expect(await rows(deposit(), hold, capture, release)).toEqual([row(75n, 0n, 3)]))
  test('earns', async () => expect(await rows(earn)).toEqual([row(7n, 0n, 0)]))
  test('is not changed by a refused hold', async () =>
    expect(await rows(deposit(), refused)).toEqual([row(100n, 0n, 0)]))
  test('does not begin with a refused hold', async () => expect(await rows(refused)).toEqual([]))

  test('has a row for each asset, to the last digit', async () => {
    const much = 10n ** 30n + 1n
    const both = await rows(deposit(money(much, 'NMESH/18')), deposit(money(much, 'NMESH/18')), deposit())
    expect(both).toEqual([
      {
        id: '0xr:NMESH/18',
        user,
        asset: 'NMESH/18',
        available: 2n * much,
        held: 0n,
        ...stampsOf(1),
      },
      row(100n, 0n, 2),
    ])
  })
})

describe('the ledger', () => {
  test('has one entry for each event that moved money', async () => {
    const { eventId } = createSpecLog()
    const entry = (type: string, debit: string, credit: string, amount: bigint, event: number) => ({
      id: eventId(event),
      type,
      stream: 'account-0xr',
      debit,
      credit,
      amount,
      asset: 'USDC/6',
      time: at(event),
      correlationId: `correlation-${event}`,
      causationId: `cause-${event}`,
      ...stampsOf(event),
    })
    const available = 'user:0xr:available'
    const held = 'user:0xr:held'
    expect(await rowsOf(ledgerEntries, 'account', user, deposit(), hold, refused, capture, release, earn)).toEqual([
      entry('DepositCredited', 'transit:deposit:p1', available, 100n, 0),
      entry('FundsHeld', available, held, 60n, 1),
      entry('HoldCaptured', held, 'transit:rental:r1', 25n, 3),
      entry('HoldReleased', held, available, 35n, 4),
      entry('EarningsCredited', 'transit:rental:r3', available, 7n, 5),
    ])
  })
})
