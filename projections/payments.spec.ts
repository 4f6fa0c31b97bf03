import { describe, expect, test } from '@jest/globals'
import { chart, posting } from '../domain/ledger.ts'
import { usdc } from '../domain/money.testing.ts'
import type { Event } from '../domain/payment.ts'
import { at, rowsOf, stampsOf } from './engine/log.testing.ts'
import { ledgerEntries } from './ledger-entries.ts'
import { payments } from './payments.ts'

const sighting = { chainId: 31_337, transactionHash: '0xt', blockNumber: 12n, blockHash: '0xb12' }
const observed: Event = { type: 'DepositObserved', payment: 'p1', user: '0xr', amount: usdc(100n), ...sighting }
const final: Event = {
  type: 'DepositFinalized',
  user: '0xr',
  posting: posting(chart.custody(31_337), chart.depositTransit('p1'), usdc(100n)),
}
const seen = {
  id: 'p1',
  user: '0xr',
  status: 'observed',
  amount: 100n,
  asset: 'USDC/6',
  ...sighting,
  observedAt: at(0),
  finalizedAt: null,
}
const rows = (...events: Event[]) => rowsOf(payments, 'payment', 'p1', ...events)

describe('a deposit', () => {
  test('is seen', async () => expect(await rows(observed)).toEqual([{ ...seen, ...stampsOf(0) }]))

  test('is final', async () =>
    expect(await rows(observed, final)).toEqual([{ ...seen, status: 'final', finalizedAt: at(1), ...stampsOf(1) }]))

  test('vanishes, and is seen again elsewhere without losing when it was seen first', async () => {
    expect(await rows(observed, { type: 'DepositVanished' })).toEqual([{ ...seen, status: 'vanished', ...stampsOf(1) }])
    const again: Event = { ...observed, type: 'DepositObserved', blockNumber: 13n, blockHash: '0xb13' }
    expect(await rows(observed, { type: 'DepositVanished' }, again)).toEqual([
      { ...seen, blockNumber: 13n, blockHash: '0xb13', ...stampsOf(2) },
    ])
  })

  test('enters the ledger when it is final, not before', async () => {
    const entries = await rowsOf(ledgerEntries, 'payment', 'p1', observed, { type: 'DepositVanished' }, observed, final)
    expect(entries.map(({ debit, credit, amount, position }) => ({ debit, credit, amount, position }))).toEqual([
      {
        debit: 'custody:31337',
        credit: 'transit:deposit:p1',
        amount: 100n,
        position: stampsOf(3).position,
      },
    ])
  })
})
