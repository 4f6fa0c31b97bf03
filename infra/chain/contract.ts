import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { encodeAbiParameters, keccak256 } from 'viem'
import { eventually } from '../../testing/eventually.ts'
import type { ChainWallet } from '../../testing/worlds/chain-wallet.ts'
import type { Chain } from './port.ts'

export type ChainUnderTest = {
  readonly chain: Chain
  /** Owns ether; no other test uses it meanwhile. */
  readonly wallet: ChainWallet
  readonly confirmations: number
  close(): Promise<void>
}

/** Registers the cases that every engine of the port must pass. The chain must mine blocks after each transaction, or
 *  nothing becomes final. */
export const chainContract = (name: string, open: () => Promise<ChainUnderTest>): void => {
  describe(`the chain on ${name}`, () => {
    let tested: ChainUnderTest
    beforeAll(async () => {
      tested = await open()
    })
    afterAll(() => tested?.close())

    test('grows with each transaction, and its final height follows at its distance', async () => {
      const { chain, wallet, confirmations } = tested
      const before = await chain.heights()
      await wallet.prepare(1n)
      const after = await chain.heights()
      expect(after.head).toBeGreaterThanOrEqual(before.head + 2n)
      expect(after.final).toBeGreaterThanOrEqual(before.final)
      expect(after.final).toBeLessThanOrEqual(after.head - BigInt(confirmations))
    })

    test('returns a deposit as the contract emitted it, first not final, then final', async () => {
      const { chain, wallet } = tested
      const { chainId, token, marketplace } = chain.description
      await wallet.prepare(2_500_000n)
      const block = await wallet.deposit(2_500_000n)
      expect((await chain.heights()).final).toBeLessThan(block.blockNumber)
      const depositId = keccak256(
        encodeAbiParameters(
          [
            { type: 'uint256' },
            { type: 'address' },
            { type: 'address' },
            { type: 'uint256' },
            { type: 'address' },
            { type: 'uint256' },
          ],
          [BigInt(chainId), marketplace, wallet.address, 0n, token, 2_500_000n],
        ),
      )
      expect(await chain.deposits(block.blockNumber, block.blockNumber)).toEqual([
        { depositId, payer: wallet.address, token, amount: 2_500_000n, ...block, sequence: 0n },
      ])
      await eventually('the deposit is final', async () => (await chain.heights()).final >= block.blockNumber)
    })

    test('returns deposits in chain order, both ends of the range included', async () => {
      const { chain, wallet } = tested
      await wallet.prepare(6n)
      const blocks = []
      for (const amount of [3n, 1n, 2n]) blocks.push((await wallet.deposit(amount)).blockNumber)
      const [first = 0n, second = 0n, third = 0n] = blocks
      const amounts = async (from: bigint, to: bigint) => (await chain.deposits(from, to)).map(({ amount }) => amount)
      expect(await amounts(first, third)).toEqual([3n, 1n, 2n])
      expect(await amounts(first, third - 1n)).toEqual([3n, 1n])
      expect(await amounts(second, second)).toEqual([1n])
      expect(await amounts(first + 1n, third)).toEqual([1n, 2n])
      const ids = (await chain.deposits(first, third)).map(({ depositId }) => depositId)
      expect(new Set(ids).size).toBe(3)
    })

    test('proves a narrow range: each block follows the one before, and each deposit is in its block', async () => {
      const { chain, wallet } = tested
      await wallet.prepare(3n)
      const first = await wallet.deposit(1n)
      const second = await wallet.deposit(2n)
      const from = first.blockNumber
      const after = await chain.blockHash(from - 1n)
      const read = await chain.readDeposits({ from, to: second.blockNumber, final: 0n, after })
      expect(read).toMatchObject({ proved: true, to: second.blockNumber })
      expect(read.deposits.map(({ amount, blockHash }) => [amount, blockHash])).toEqual([
        [1n, first.blockHash],
        [2n, second.blockHash],
      ])
      expect(read.hashes.get(second.blockNumber)).toBe(second.blockHash)
      await expect(
        chain.readDeposits({ from, to: second.blockNumber, final: 0n, after: first.blockHash }),
      ).rejects.toMatchObject({ code: 'CHAIN_NODES_DISAGREE' })
    })

    test('shows what the contract owned after each block', async () => {
      const { chain, wallet } = tested
      await wallet.prepare(5n)
      const { blockNumber } = await wallet.deposit(5n)
      const [before = 0n, then = 0n] = [await chain.custody(blockNumber - 1n), await chain.custody(blockNumber)]
      expect(then - before).toBe(5n)
    })

    test('returns nothing for an empty range, and nothing above the head', async () => {
      const { chain } = tested
      const { head } = await chain.heights()
      expect(await chain.deposits(head, head - 1n)).toEqual([])
      expect(await chain.deposits(head + 1_000n, head + 2_000n)).toEqual([])
    })
  })
}
