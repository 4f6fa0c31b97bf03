import { describe, expect, test } from '@jest/globals'
import * as account from './account.ts'
import { spec } from './decider.testing.ts'
import type { ErrorCode } from './errors.ts'
import { chart, posting } from './ledger.ts'
import { usd, usdc } from './money.testing.ts'
import type { Money } from './money.ts'
import { mapOf } from './persistent-map.testing.ts'
import { emptyMap } from './persistent-map.ts'

const { given } = spec(account)

const user = 'ada'

const credit = (amount: Money, payment = 'payment-1') =>
  ({ type: 'CreditDeposit', user, payment, amount }) as const satisfies account.Command
const hold = (amount: Money, rental = 'rental-1') =>
  ({
    type: 'HoldFunds',
    user,
    rental,
    amount,
    at: '2026-01-01T00:00:00.000Z',
    notAfter: '2026-01-01T00:00:30.000Z',
  }) as const satisfies account.Command
const capture = (charge: Money, rental = 'rental-1') =>
  ({ type: 'CaptureHold', rental, charge }) as const satisfies account.Command
const release = { type: 'ReleaseHold', rental: 'rental-1' } satisfies account.Command
const earn = (amount: Money) =>
  ({ type: 'CreditEarnings', user, rental: 'rental-9', amount }) as const satisfies account.Command

const credited = (amount: Money, payment = 'payment-1') =>
  ({
    type: 'DepositCredited',
    user,
    payment,
    posting: posting(`transit:deposit:${payment}`, 'user:ada:available', amount),
  }) as const
const held = (amount: Money, rental = 'rental-1') =>
  ({ type: 'FundsHeld', user, rental, posting: posting('user:ada:available', 'user:ada:held', amount) }) as const
const refused = (amount: Money, code: ErrorCode) =>
  ({ type: 'HoldRefused', user, rental: 'rental-1', amount, code }) as const
const captured = (amount: Money, rental = 'rental-1') =>
  ({ type: 'HoldCaptured', rental, posting: posting('user:ada:held', `transit:rental:${rental}`, amount) }) as const
const released = (amount: Money, rental = 'rental-1') =>
  ({ type: 'HoldReleased', rental, posting: posting('user:ada:held', 'user:ada:available', amount) }) as const
const earned = (amount: Money) =>
  ({
    type: 'EarningsCredited',
    user,
    rental: 'rental-9',
    posting: posting('transit:rental:rental-9', 'user:ada:available', amount),
  }) as const

describe('none', () => {
  test('has no balance', () =>
    expect(account.balanceOf(account.initial, 'USDC/6')).toStrictEqual({ available: 0n, held: 0n }))
  test('CreditDeposit opens the account', () =>
    given()
      .when(credit(usdc(1n)))
      .then(credited(usdc(1n))))
  test('CreditDeposit of nothing is refused', () =>
    given()
      .when(credit(usdc(0n)))
      .refuses('AMOUNT_INVALID'))
  test('CreditEarnings opens the account', () =>
    given()
      .when(earn(usdc(1n)))
      .then(earned(usdc(1n))))
  test('CreditEarnings of nothing is refused', () =>
    given()
      .when(earn(usdc(0n)))
      .refuses('AMOUNT_INVALID'))
  test('HoldFunds lacks funds', () =>
    given()
      .when(hold(usdc(1n)))
      .then(refused(usdc(1n), 'INSUFFICIENT_FUNDS')))
  test.each([capture(usdc(0n)), release])('$type is refused', (command) =>
    given().when(command).refuses('HOLD_UNKNOWN', { rental: 'rental-1' }),
  )
})

describe('open', () => {
  test('opens empty with a refused hold', () =>
    expect(given(refused(usdc(1n), 'INSUFFICIENT_FUNDS')).state).toStrictEqual({
      status: 'open',
      user,
      balances: new Map(),
      holds: emptyMap,
    }))
  test('keeps balances by asset and holds by rental', () =>
    expect(given(credited(usdc(10n)), credited(usd(5n)), earned(usdc(2n)), held(usdc(4n))).state).toStrictEqual({
      status: 'open',
      user,
      balances: new Map([
        ['USDC/6', { available: 8n, held: 4n }],
        ['USD/2', { available: 5n, held: 0n }],
      ]),
      holds: mapOf([['rental-1', usdc(4n)]]),
    }))

  describe('HoldFunds', () => {
    test('moves available money into a hold', () =>
      given(credited(usdc(10n)))
        .when(hold(usdc(4n)))
        .then(held(usdc(4n))))
    test('takes the last minor unit', () =>
      given(credited(usdc(10n)))
        .when(hold(usdc(10n)))
        .then(held(usdc(10n))))
    test('takes no more than is available', () =>
      given(credited(usdc(10n)))
        .when(hold(usdc(11n)))
        .then(refused(usdc(11n), 'INSUFFICIENT_FUNDS')))
    test('does not take what another rental holds', () =>
      given(credited(usdc(10n)), held(usdc(4n), 'rental-2'))
        .when(hold(usdc(7n)))
        .then(refused(usdc(7n), 'INSUFFICIENT_FUNDS')))
    test('does not take another asset', () =>
      given(credited(usd(10n)))
        .when(hold(usdc(1n)))
        .then(refused(usdc(1n), 'INSUFFICIENT_FUNDS')))
    test('holds up to the very deadline', () =>
      given(credited(usdc(10n)))
        .when({ ...hold(usdc(4n)), at: '2026-01-01T00:00:30.000Z' })
        .then(held(usdc(4n))))
    test('names the first thing that is wrong', () => {
      const open = given(credited(usdc(10n)), held(usdc(4n)))
      const late = { ...hold(usdc(0n)), at: '2026-01-01T00:00:30.001Z' }
      open.when(late).then(refused(usdc(0n), 'DEADLINE_PASSED'))
      open.when(hold(usdc(0n))).then(refused(usdc(0n), 'AMOUNT_INVALID'))
      open.when(hold(usdc(11n))).then(refused(usdc(11n), 'HOLD_ALREADY_EXISTS'))
    })
    test('may hold again for a rental whose hold is closed', () =>
      given(credited(usdc(10n)), held(usdc(4n)), released(usdc(4n)))
        .when(hold(usdc(10n)))
        .then(held(usdc(10n))))
  })

  describe('CaptureHold', () => {
    const open = given(credited(usdc(10n)), held(usdc(4n)), held(usdc(1n), 'rental-2'))
    test('takes the charge and gives the rest back', () =>
      open.when(capture(usdc(3n))).then(captured(usdc(3n)), released(usdc(1n))))
    test('of all leaves nothing to give back', () => open.when(capture(usdc(4n))).then(captured(usdc(4n))))
    test('of nothing gives all back', () => open.when(capture(usdc(0n))).then(released(usdc(4n))))
    test('of more than the hold is refused', () =>
      open.when(capture(usdc(5n))).refuses('HOLD_EXCEEDED', { held: '4', charge: '5' }))
    test('below nothing is refused', () => open.when(capture(usdc(-1n))).refuses('AMOUNT_INVALID'))
    test('in another asset is refused', () =>
      open.when(capture(usd(3n))).refuses('HOLD_UNKNOWN', { rental: 'rental-1', asset: 'USD/2' }))
    test('of no hold is refused before the amount is checked', () =>
      open.when(capture(usdc(-1n), 'rental-3')).refuses('HOLD_UNKNOWN', { rental: 'rental-3' }))
    test('happens once', () =>
      given(credited(usdc(10n)), held(usdc(4n)), captured(usdc(3n)), released(usdc(1n)))
        .when(capture(usdc(0n)))
        .refuses('HOLD_UNKNOWN', { rental: 'rental-1' }))
    test('leaves the other holds alone', () =>
      expect(
        given(credited(usdc(10n)), held(usdc(4n)), held(usdc(1n), 'rental-2'), captured(usdc(3n)), released(usdc(1n)))
          .state,
      ).toMatchObject({
        balances: new Map([['USDC/6', { available: 6n, held: 1n }]]),
        holds: mapOf([['rental-2', usdc(1n)]]),
      }))
  })

  describe('ReleaseHold', () => {
    test('gives all back', () =>
      given(credited(usdc(10n)), held(usdc(4n)))
        .when(release)
        .then(released(usdc(4n))))
    test('gives what is left of a hold', () =>
      given(credited(usdc(10n)), held(usdc(4n)), captured(usdc(3n)))
        .when(release)
        .then(released(usdc(1n))))
    test('happens once', () =>
      given(credited(usdc(10n)), held(usdc(4n)), released(usdc(4n)))
        .when(release)
        .refuses('HOLD_UNKNOWN', { rental: 'rental-1' }))
  })
})

test('the accounts of the chart are named after their owners', () =>
  expect([
    chart.custody(1),
    chart.available(user),
    chart.held(user),
    chart.depositTransit('d'),
    chart.rentalTransit('r'),
  ]).toStrictEqual(['custody:1', 'user:ada:available', 'user:ada:held', 'transit:deposit:d', 'transit:rental:r']))

test('a history that could not have happened is called corrupt', () => {
  given().cannotBeFollowedBy(held(usdc(1n)), captured(usdc(1n)), released(usdc(1n)))
  given(credited(usdc(10n))).cannotBeFollowedBy(captured(usdc(1n)), released(usdc(1n)))
  given(credited(usdc(10n)), held(usdc(4n))).cannotBeFollowedBy(captured(usdc(5n)), released(usdc(5n)))
})
