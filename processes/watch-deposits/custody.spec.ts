import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createWatchWorld } from '../watch-deposits.testing.ts'
import { compareCustody, missingOf, unaccountedOf } from './custody.ts'

const now = () => '2026-01-01T00:00:00.000Z'

describe('custody', () => {
  test('is compared as of the newest final block, and stored', async () => {
    const { chain, cursor } = createWatchWorld()
    const compare = (ledger: bigint) =>
      compareCustody({ chain: chain.port, cursor, ledgerCustody: async () => ledger, now })
    expect(await compare(0n)).toBeUndefined()
    chain.mine([{ id: 'five', amount: 5n }])
    chain.mine([{ id: 'six', amount: 6n }])
    chain.finalize(0)
    const report = { block: 0n, contract: 5n, ledger: 5n, checkedAt: now() }
    expect(await compare(5n)).toEqual(report)
    expect(await cursor.loadCustody()).toEqual(report)
    chain.finalize(1)
    expect(await compare(5n)).toEqual({ ...report, block: 1n, contract: 11n })
  })

  test('is unknown where the node does not keep the state of the block', async () => {
    const { chain, cursor } = createWatchWorld()
    chain.mine()
    chain.finalize()
    const pruned = { ...chain.port, custody: async () => undefined }
    expect(await compareCustody({ chain: pruned, cursor, ledgerCustody: async () => 1n, now })).toBeUndefined()
    expect(await cursor.loadCustody()).toBeUndefined()
  })

  test('less is missing and more is unaccounted, never both, and they make up the difference', () =>
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 256n }),
        fc.bigInt({ min: 0n, max: 2n ** 256n }),
        (contract, ledger) => {
          const report = { block: 1n, contract, ledger, checkedAt: now() }
          const [missing, unaccounted] = [missingOf(report), unaccountedOf(report)]
          expect(contract + missing).toBe(ledger + unaccounted)
          expect(missing === 0n || unaccounted === 0n).toBe(true)
        },
      ),
    ))
})
