import { describe, expect, test } from '@jest/globals'
import { spec } from './decider.testing.ts'
import { chart, posting } from './ledger.ts'
import { money } from './money.ts'
import * as payment from './payment.ts'

const { given } = spec(payment)

const five = money(5_000_000n, 'USDC/6')
const sighting = { chainId: 31_337, transactionHash: '0xdead', blockNumber: 12n, blockHash: '0xb12' }
const observe = { type: 'ObserveDeposit', payment: 'payment-1', user: 'ada', amount: five, ...sighting } as const
const finalize = { type: 'FinalizeDeposit' } satisfies payment.Command
const reportVanished = { type: 'ReportDepositVanished' } satisfies payment.Command
// The same deposit in another block: what a reorganisation does.
const elsewhere = { transactionHash: '0xdead', blockNumber: 13n, blockHash: '0xb13' }

const observed = { ...observe, type: 'DepositObserved' } as const
const vanished = { type: 'DepositVanished' } as const
const finalized = {
  type: 'DepositFinalized',
  user: 'ada',
  posting: posting(chart.custody(31_337), chart.depositTransit('payment-1'), five),
} as const
const known = { payment: 'payment-1', user: 'ada', amount: five, ...sighting }

const nothing = money(0n, 'USDC/6')

describe('none', () => {
  test('ObserveDeposit is seen', () => given().when(observe).then(observed))
  test('ObserveDeposit of one minor unit is seen', () => {
    const least = { amount: money(1n, 'USDC/6') }
    given()
      .when({ ...observe, ...least })
      .then({ ...observed, ...least })
  })
  test('ObserveDeposit of nothing is refused', () =>
    given()
      .when({ ...observe, amount: nothing })
      .refuses('AMOUNT_INVALID'))
  test('FinalizeDeposit is refused', () => given().when(finalize).refuses('PAYMENT_UNKNOWN', { status: 'none' }))
  test('ReportDepositVanished is refused', () => given().when(reportVanished).refuses('PAYMENT_UNKNOWN'))
})

describe('observed', () => {
  test('keeps what was seen', () => expect(given(observed).state).toStrictEqual({ status: 'observed', ...known }))
  test('ObserveDeposit in the same block is nothing new', () => given(observed).when(observe).then())
  test('ObserveDeposit in another block is seen again', () =>
    given(observed)
      .when({ ...observe, ...elsewhere })
      .then({ ...observed, ...elsewhere }))
  test('ObserveDeposit of nothing is refused', () =>
    given(observed)
      .when({ ...observe, amount: nothing })
      .refuses('AMOUNT_INVALID'))
  test('FinalizeDeposit moves the amount out of custody towards its owner', () =>
    given(observed).when(finalize).then(finalized))
  test('ReportDepositVanished takes it back', () => given(observed).when(reportVanished).then(vanished))
})

describe('vanished', () => {
  test('keeps what was seen last', () =>
    expect(given(observed, vanished).state).toStrictEqual({ status: 'vanished', ...known }))
  test('ObserveDeposit is seen again, also in the same block', () =>
    given(observed, vanished).when(observe).then(observed))
  test('FinalizeDeposit is refused', () =>
    given(observed, vanished).when(finalize).refuses('PAYMENT_UNKNOWN', { status: 'vanished' }))
  test('ReportDepositVanished is nothing new', () => given(observed, vanished).when(reportVanished).then())
})

describe('final', () => {
  const final = given(observed, finalized)
  test('keeps what was seen', () => expect(final.state).toStrictEqual({ status: 'final', ...known }))
  test('ObserveDeposit is nothing new, in whatever block', () => final.when({ ...observe, ...elsewhere }).then())
  test('FinalizeDeposit is refused: a deposit counts once', () => final.when(finalize).refuses('PAYMENT_FINAL'))
  test('ReportDepositVanished is refused', () => final.when(reportVanished).refuses('PAYMENT_FINAL'))
})

test('a history that could not have happened is called corrupt', () => {
  given().cannotBeFollowedBy(finalized, vanished)
  given(observed, vanished).cannotBeFollowedBy(finalized, vanished)
  given(observed, finalized).cannotBeFollowedBy(observed, finalized, vanished)
})
