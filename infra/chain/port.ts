import type { Refusal } from '../../domain/errors.ts'
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
  /** The payer's own count of deposits, from 0. */
  readonly sequence: bigint
}

/** What was found in a range of blocks. */
export type DepositsRead = {
  /** In chain order. */
  readonly deposits: readonly Deposit[]
  /** The last block of the range, which may be lower than asked for. */
  readonly to: bigint
  /** The hashes of blocks of the range by height: of all of them when it is proved, else of the last one. */
  readonly hashes: ReadonlyMap<bigint, `0x${string}`>
  /** True when each block follows the one before it, and the receipts of each block that may hold a deposit make up the
   *  block's own filter of logs (its bloom): then no deposit is missing, and none is made up. */
  readonly proved: boolean
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
  /** The name that the chain gives itself: an embedded chain has an id made at random, for every new one has the same
   *  blocks at first. Undefined for other chains. */
  readonly id: string | undefined
  /** Resolves to the newest block, and the newest final one: the lower of the chain's own finality tag and the head
   *  less the configured confirmations. -1n when no block is final yet. Throws CHAIN_UNAVAILABLE, and CONFIG_INVALID
   *  when this is another chain than the configured one or the contract is not on it. */
  heights(): Promise<{ readonly head: bigint; readonly final: bigint }>
  /** Resolves to the deposits in the blocks from..to, both included, from nodes that show the hash of the last block.
   *  A narrow range is proved; of a wide one only the part up to `final` is read. `after` is the hash of the block
   *  before `from`. Throws CHAIN_NODES_DISAGREE when the answers do not fit together, and as `heights` does. */
  readDeposits(range: {
    readonly from: bigint
    readonly to: bigint
    readonly final: bigint
    readonly after?: `0x${string}` | undefined
  }): Promise<DepositsRead>
  /** Resolves to the deposits in the blocks from..to, both included, in chain order, as a node answers; of one payer
   *  when it is named. Throws as `heights` does. */
  deposits(from: bigint, to: bigint, payer?: `0x${string}`): Promise<readonly Deposit[]>
  /** Resolves to the hash of a block; undefined when the node has none at this height. Throws as `heights` does. */
  blockHash(height: bigint): Promise<`0x${string}` | undefined>
  /** Resolves to the tokens that the contract owned after a block, in minor units; undefined when the node does not
   *  keep the state of that block. Throws as `heights` does. */
  custody(height: bigint): Promise<bigint | undefined>
  /** Resolves to whether a wallet that is a contract has signed the hash (ERC-1271, ERC-6492), for a client at this
   *  address: each has a share of the few checks at once. Refuses SIGN_IN_BUSY. Throws as `heights` does. */
  hasSigned(
    wallet: `0x${string}`,
    hash: `0x${string}`,
    signature: `0x${string}`,
    address: string,
  ): Promise<boolean | Refusal>
  close(): Promise<void>
}

/** The last block that was read and is final, and the chain that it is on. Databases from before have the height
 *  alone. */
export type CursorPlace = {
  readonly block: bigint
  readonly hash: `0x${string}` | undefined
  /** The id of the chain, where it has one. */
  readonly chain: string | undefined
}

/** What the contract owns and what it owns by the ledger, in minor units, as of a final block. */
export type CustodyReport = {
  readonly block: bigint
  readonly contract: bigint
  readonly ledger: bigint
  /** ISO 8601 in UTC. */
  readonly checkedAt: string
}

/** Stores where the watcher is. */
export type ChainCursor = {
  load(): Promise<CursorPlace | undefined>
  /** Stores the place. It never goes back: a lower block than the stored one changes nothing. */
  save(place: CursorPlace): Promise<void>
  saveCustody(report: CustodyReport): Promise<void>
  /** Resolves to the last report; undefined before the first one. */
  loadCustody(): Promise<CustodyReport | undefined>
}

/** A request to read a range of final blocks again. `next` is the first block that was not read yet. */
export type Rescan = {
  readonly id: bigint
  readonly from: bigint
  readonly to: bigint
  readonly next: bigint
  /** How many deposits were found that the log did not have as final. */
  readonly recovered: bigint
}

/** Stores requests to read blocks again, with who asked and what came of it. */
export type Rescans = {
  /** Resolves to the oldest request that is not done. */
  nextOpen(): Promise<Rescan | undefined>
  /** Stores how far it has come; it is done when `next` is above its last block. */
  report(rescan: Rescan): Promise<void>
}
