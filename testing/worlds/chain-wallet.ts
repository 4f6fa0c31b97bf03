import { createPublicClient, createWalletClient, defineChain, type Hex, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { marketplace } from '../../contracts/bindings/marketplace.ts'
import { usdToken } from '../../contracts/bindings/usd-token.ts'
import type { ChainDescription } from '../../infra/chain/port.ts'

export type ChainWallet = {
  readonly address: Hex
  /** Takes the amount from the faucet and approves the marketplace to take it. */
  prepare(amount: bigint): Promise<void>
  /** Deposits what was prepared; resolves when it is in a block. */
  deposit(amount: bigint): Promise<{ transactionHash: Hex; blockNumber: bigint; blockHash: Hex }>
  tokenBalance(): Promise<bigint>
  /** Resolves to the number of transactions that it has sent. */
  nonce(): Promise<number>
  blockHash(blockNumber: bigint): Promise<Hex>
  /** Calls any method of the node, raw. Throws an Error with the node's code and data. */
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>
}

/** Creates a renter's wallet, for tests. The key's account must own some ether. `ownerSecret` goes with what `rpc`
 *  calls. */
export const chainWallet = (
  { chainId, rpcUrl, token, marketplace: address }: ChainDescription,
  key: Hex,
  ownerSecret?: string,
): ChainWallet => {
  const account = privateKeyToAccount(key)
  const chain = defineChain({
    id: chainId,
    name: 'test',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  const reader = createPublicClient({ chain, transport: http(), pollingInterval: 50, cacheTime: 0 })
  const wallet = createWalletClient({ chain, transport: http(), account })
  const included = async (hash: Hex) => {
    const receipt = await reader.waitForTransactionReceipt({ hash })
    if (receipt.status !== 'success') throw new Error(`${hash} reverted`)
    return { transactionHash: hash, blockNumber: receipt.blockNumber, blockHash: receipt.blockHash }
  }
  const usd = { address: token, abi: usdToken.abi } as const
  return {
    address: account.address,
    prepare: async (amount) => {
      const dripped = await wallet.writeContract({ ...usd, functionName: 'drip', args: [account.address, amount] })
      await included(dripped)
      await included(await wallet.writeContract({ ...usd, functionName: 'approve', args: [address, amount] }))
    },
    deposit: async (amount) =>
      included(await wallet.writeContract({ address, abi: marketplace.abi, functionName: 'deposit', args: [amount] })),
    tokenBalance: () => reader.readContract({ ...usd, functionName: 'balanceOf', args: [account.address] }),
    nonce: () => reader.getTransactionCount({ address: account.address }),
    blockHash: async (blockNumber) => (await reader.getBlock({ blockNumber })).hash,
    rpc: async (method, params = []) => {
      const response = await fetch(rpcUrl, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(ownerSecret === undefined ? {} : { authorization: `Bearer ${ownerSecret}` }),
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      })
      const { result, error } = (await response.json()) as {
        result?: unknown
        error?: { code: number; message: string; data?: unknown }
      }
      if (error) throw Object.assign(new Error(error.message), { code: error.code, data: error.data })
      return result
    },
  }
}
