import {
  encodeAbiParameters,
  encodeEventTopics,
  formatTransactionReceipt,
  type Hex,
  keccak256,
  type Log,
  type PublicClient,
  parseAbiParameters,
  parseEventLogs,
  type RpcTransactionReceipt,
} from 'viem'
import { marketplace as marketplaceBinding } from '../../../contracts/bindings/marketplace.ts'
import { createBoundedMap, registerBound } from '../../async/bounded.ts'
import { createSemaphore } from '../../async/semaphore.ts'
import type { Deposit } from '../port.ts'
import { disagree, type HeaderCheck } from './answers.ts'
import { bloomOf, bloomOfLogs, mayHold, sameBloom } from './bloom.ts'
import { rpcErrorIn } from './parts.ts'

const { abi } = marketplaceBinding
/** A block with more transactions is not proved: on such a chain its filter excludes nothing. */
const transactionsMax = 2_000
const requestsAtOnceMax = 8
/** Twice the widest range. */
const rememberedBlocks = registerBound({
  name: 'proved blocks',
  holds: 'The blocks of the chain that were proved last, by hash, with their deposits.',
  whenFull: 'evicts the oldest',
  entriesMax: 2 * 256,
  bytesMax: 16 * 1024 * 1024,
})
const blockBytes = 500
const depositBytes = 1_000

export type ProvedBlock = {
  readonly hash: Hex
  readonly number: bigint
  readonly parentHash: Hex
  readonly deposits: readonly Deposit[]
}

export type Contract = { readonly chainId: number; readonly marketplace: Hex; readonly token: Hex }

/** Returns the id that the contract gives a deposit. */
export const depositIdOf = (
  { chainId, marketplace, token }: Contract,
  { payer, sequence, amount }: Pick<Deposit, 'payer' | 'sequence' | 'amount'>,
): Hex =>
  keccak256(
    encodeAbiParameters(parseAbiParameters('uint256, address, address, uint256, address, uint256'), [
      BigInt(chainId),
      marketplace,
      payer,
      sequence,
      token,
      amount,
    ]),
  )

/** Returns the deposits among logs, in chain order. Throws CHAIN_NODES_DISAGREE for one whose id is not that of its
 *  content: the contract did not emit it. */
export const depositsAmong = (contract: Contract, logs: readonly Log[]): Deposit[] => {
  const own = logs.filter(
    ({ address, removed }) => !removed && address.toLowerCase() === contract.marketplace.toLowerCase(),
  )
  const parsed = parseEventLogs({ abi, eventName: 'Deposited', logs: own, strict: true })
  const found = parsed
    .filter(({ args }) => args.token.toLowerCase() === contract.token.toLowerCase())
    .toSorted((a, b) => Number((a.blockNumber ?? 0n) - (b.blockNumber ?? 0n)) || (a.logIndex ?? 0) - (b.logIndex ?? 0))
    .map(({ args, transactionHash, blockNumber, blockHash }): Deposit => {
      if (transactionHash === null || blockNumber === null || blockHash === null) throw disagree('a log is in no block')
      const { depositId, payer, token, amount, sequence } = args
      return { depositId, payer, token, amount, transactionHash, blockNumber, blockHash, sequence }
    })
  for (const deposit of found)
    if (depositIdOf(contract, deposit) !== deposit.depositId)
      throw disagree('a deposit has an id that the contract would not give it', { deposit: deposit.depositId })
  return [...new Map(found.map((deposit) => [deposit.depositId, deposit])).values()]
}

/** Makes the reader of blocks that are proved: a block is taken only with the receipts that make up its own filter of
 *  logs. A block is named by its hash, so what was proved once stays so and is remembered; where headers are not checked,
 *  nothing is: one false answer would stay.
 *  @param client one with checked answers */
export const createProvedBlocks = (client: PublicClient, contract: Contract, headers: HeaderCheck) => {
  const remembered = createBoundedMap<ProvedBlock>(rememberedBlocks)
  let receiptsByBlock = true
  const [eventTopic, , , tokenTopic] = encodeEventTopics({
    abi,
    eventName: 'Deposited',
    args: { token: contract.token },
  })
  const signs = [contract.marketplace, eventTopic, tokenTopic] as readonly Hex[]

  /** Resolves to undefined when the node has no such method. */
  const receiptsOfBlock = async (hash: Hex) => {
    if (!receiptsByBlock) return undefined
    const request = client.request as (asked: { method: string; params: readonly unknown[] }) => Promise<unknown>
    try {
      const found = await request({ method: 'eth_getBlockReceipts', params: [hash] })
      return Array.isArray(found)
        ? (found as RpcTransactionReceipt[]).map((one) => formatTransactionReceipt(one))
        : undefined
    } catch (error) {
      if (rpcErrorIn(error)) receiptsByBlock = false
      return undefined
    }
  }

  const receiptsOfEach = (transactions: readonly Hex[]) => {
    const fewAtOnce = createSemaphore(requestsAtOnceMax)
    return Promise.all(transactions.map((hash) => fewAtOnce(() => client.getTransactionReceipt({ hash }))))
  }

  /** Resolves to the logs of a block, from its receipts. */
  const logsOf = async (hash: Hex, transactions: readonly Hex[]): Promise<Log[]> => {
    if (transactions.length > transactionsMax)
      throw disagree('a block has too many transactions to be proved', { hash })
    const receipts = (await receiptsOfBlock(hash)) ?? (await receiptsOfEach(transactions))
    for (const receipt of receipts)
      if (receipt.blockHash !== hash) throw disagree('a receipt is of another block', { hash })
    return receipts.flatMap(({ logs }) => logs)
  }

  const prove = async (at: { readonly number: bigint } | { readonly hash: Hex }): Promise<ProvedBlock> => {
    const known = 'hash' in at ? remembered.get(at.hash) : undefined
    if (known) return known
    const block = await client.getBlock('hash' in at ? { blockHash: at.hash } : { blockNumber: at.number })
    const { hash, number, parentHash, logsBloom, transactions } = block
    const again = remembered.get(hash)
    if (again) return again
    const bloom = bloomOf(logsBloom)
    let deposits: readonly Deposit[] = []
    if (mayHold(bloom, signs)) {
      const logs = await logsOf(hash, transactions)
      if (!sameBloom(bloomOfLogs(logs), bloom)) throw disagree('receipts do not make up their block', { hash })
      deposits = depositsAmong(contract, logs)
      if (deposits.some(({ blockHash, blockNumber }) => blockHash !== hash || blockNumber !== number))
        throw disagree('a log is of another block', { hash })
    }
    const proved = { hash, number, parentHash, deposits }
    if (headers === 'checked') remembered.set(hash, proved, blockBytes + deposits.length * depositBytes)
    return proved
  }

  /** Resolves to the blocks from..to, each the parent of the next, read from the last one down. Throws
   *  CHAIN_NODES_DISAGREE. */
  return async (from: bigint, to: bigint, after: Hex | undefined): Promise<readonly ProvedBlock[]> => {
    const blocks = [await prove({ number: to })]
    for (let height = to - 1n; height >= from; height--) {
      const next = blocks.at(-1)
      if (next === undefined) break
      const block = await prove({ hash: next.parentHash })
      if (block.number !== height)
        throw disagree('a block has another height than its child says', { hash: block.hash })
      blocks.push(block)
    }
    const first = blocks.at(-1)
    if (after !== undefined && first?.parentHash !== after)
      throw disagree('the blocks do not follow the last final one', { block: String(from), after })
    return blocks.reverse()
  }
}
