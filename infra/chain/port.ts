import type { Asset } from '../../domain/money.ts'

/** A deposit as the marketplace contract emits it. The contract makes `depositId` from the payer and the payer's own
 *  count, so a deposit keeps its id when a reorganisation moves it to another block. Addresses are checksummed
 *  (EIP-55), here and in the description. */
export type Deposit = {
  readonly depositId: `0x${string}`
  readonly payer: `0x${string}`
  readonly token: `0x${string}`
  readonly amount: bigint
  readonly transactionHash: `0x${string}`
  readonly blockNumber: bigint
  readonly blockHash: `0x${string}`
}

/** What a wallet needs for a deposit. Wallets send transactions to `rpcUrl`. */
export type ChainDescription = {
  readonly chainId: number
  readonly rpcUrl: string
  readonly token: `0x${string}`
  readonly marketplace: `0x${string}`
  readonly asset: Asset
}

export type Chain = {
  readonly description: ChainDescription
  /** Resolves to the newest block, and the newest final one: the lower of the chain's own finality tag and the head
   *  less the configured confirmations. -1n when no block is final yet. Throws CHAIN_UNAVAILABLE, and CONFIG_INVALID
   *  when this is another chain than the configured one or the contract is not on it. */
  heights(): Promise<{ readonly head: bigint; readonly final: bigint }>
  /** Resolves to the deposits in the blocks from..to, both included, in chain order. Throws as `heights` does. */
  deposits(from: bigint, to: bigint): Promise<readonly Deposit[]>
  close(): Promise<void>
}

/** Stores the last block that was read and is final. It never goes back. */
export type ChainCursor = {
  load(): Promise<bigint | undefined>
  save(block: bigint): Promise<void>
}
