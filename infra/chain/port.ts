import type { Asset } from '../../domain/money.ts'

/** A deposit as the marketplace contract tells it. `depositId` is made by the contract from the payer and the payer's own
 *  count, so the same deposit keeps its id when a reorganisation moves it to another block. Addresses are checksummed
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

/** What a wallet needs to know to pay in. `rpcUrl` is where wallets send transactions. */
export type ChainDescription = {
  readonly chainId: number
  readonly rpcUrl: string
  readonly token: `0x${string}`
  readonly marketplace: `0x${string}`
  readonly asset: Asset
}

export type Chain = {
  readonly description: ChainDescription
  /** The newest block, and the newest that will not be undone: the lower of the chain's own finality tag and head less
   *  the confirmations asked for. -1n when no block is final yet. Throws CHAIN_UNAVAILABLE,
   *  and CONFIG_INVALID when this is another chain than was asked for or the contract is not on it. */
  heights(): Promise<{ readonly head: bigint; readonly final: bigint }>
  /** Deposits in blocks from..to, both included, in chain order. Throws as `heights` does. */
  deposits(from: bigint, to: bigint): Promise<readonly Deposit[]>
  close(): Promise<void>
}

/** The last block that was looked through and will not change any more. Never goes back. */
export type ChainCursor = {
  load(): Promise<bigint | undefined>
  save(block: bigint): Promise<void>
}
