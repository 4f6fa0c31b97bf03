import { type Hex, parseTransaction } from 'viem'
import { errorCodes, rpcError } from '../json-rpc.ts'
import type { Execute } from './simulator.ts'

/** The gas of one transaction or one simulated call. A deposit takes about 100,000, a contract wallet some hundred
 *  thousand. The simulator records each step of the EVM: a loop that does nothing else costs it 200 MB and a second for
 *  each million. */
export const gasMax = 1_000_000n
/** The width of one eth_getLogs. */
export const logBlocksMax = 1_000
export const logEntriesMax = 10_000
/** The alternatives of one address or topic of a filter. */
const filterItemsMax = 100
const filterTopicsMax = 4
const feeHistoryBlocksMax = 1_024
const feeHistoryPercentilesMax = 100
/** No method of a wallet takes more. */
const paramsMax = 3

type Params = readonly unknown[]

const refuse = (why: string) => rpcError(errorCodes.invalidParams, why)
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns the number that a quantity (0x and hexadecimal digits, or a JSON number) stands for. */
const quantity = (value: unknown): bigint | undefined => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  return typeof value === 'string' && /^0x[0-9a-fA-F]{1,64}$/.test(value) ? BigInt(value) : undefined
}

const hexOf = (value: bigint): Hex => `0x${value.toString(16)}`

/** Returns the call or transaction with no more gas than the bound; the bound when it names none. */
const withGasBound = (call: unknown): Record<string, unknown> => {
  if (!isRecord(call)) throw refuse('a call must be an object')
  const { gas, gasLimit: _, ...rest } = call
  const wanted = gas === undefined || gas === null ? gasMax : quantity(gas)
  if (wanted === undefined) throw refuse('gas must be a quantity')
  return { ...rest, gas: hexOf(wanted < gasMax ? wanted : gasMax) }
}

const checkRawTransaction = (raw: unknown): void => {
  let parsed: ReturnType<typeof parseTransaction>
  try {
    parsed = parseTransaction(raw as Hex)
  } catch {
    throw refuse('this is no signed transaction')
  }
  if (parsed.type === 'eip4844') throw refuse('transactions with blobs are not taken')
  if ((parsed.gas ?? 0n) > gasMax) throw refuse(`a transaction has at most ${gasMax} gas`)
}

const checkFeeHistory = ([blocks, , percentiles]: Params): void => {
  const wanted = quantity(blocks)
  if (wanted === undefined || wanted > feeHistoryBlocksMax)
    throw refuse(`eth_feeHistory takes at most ${feeHistoryBlocksMax} blocks`)
  if (Array.isArray(percentiles) && percentiles.length > feeHistoryPercentilesMax)
    throw refuse(`eth_feeHistory takes at most ${feeHistoryPercentilesMax} percentiles`)
}

/** Returns the parameters as the simulator gets them from a caller who is not the owner. Throws an RpcError for what is
 *  beyond the bounds. */
export const boundedParams = (method: string, params: Params): Params => {
  if (params.length > paramsMax) throw refuse(`${method} takes at most ${paramsMax} parameters`)
  switch (method) {
    case 'eth_call':
    case 'eth_estimateGas':
      // A third parameter would replace the state of the chain for the call.
      if (params.length > 2) throw refuse(`${method} takes a call and a block`)
      return [withGasBound(params[0]), ...params.slice(1)]
    case 'eth_sendTransaction':
      return [withGasBound(params[0])]
    case 'eth_sendRawTransaction':
      checkRawTransaction(params[0])
      return [params[0]]
    case 'eth_feeHistory':
      checkFeeHistory(params)
      return params
    default:
      return params
  }
}

const isFilterItem = (item: unknown): boolean => !Array.isArray(item) || item.length <= filterItemsMax

/** Resolves to the logs of a filter, read block by block, so that no answer is made that is beyond the bounds. Throws
 *  an RpcError for a range or a result that is too large, and when `signal` aborts. */
export const boundedLogs = async (execute: Execute, params: Params, signal: AbortSignal): Promise<unknown> => {
  const [filter] = params
  if (!isRecord(filter)) throw refuse('eth_getLogs takes a filter')
  const { fromBlock, toBlock, blockHash, address, topics = [] } = filter
  if (!Array.isArray(topics) || topics.length > filterTopicsMax || ![address, ...topics].every(isFilterItem))
    throw refuse(`a filter has at most ${filterTopicsMax} topics and ${filterItemsMax} alternatives of each`)
  if (blockHash !== undefined) return execute('eth_getLogs', [{ address, topics, blockHash }])

  const head = BigInt((await execute('eth_blockNumber', [])) as Hex)
  const heightOf = (block: unknown): bigint => {
    if (block === 'earliest') return 0n
    if (block === undefined || block === null || typeof block !== 'string' || !block.startsWith('0x')) return head
    const height = quantity(block)
    if (height === undefined) throw refuse('a block must be a quantity or a tag')
    return height
  }
  const from = heightOf(fromBlock)
  const wanted = heightOf(toBlock)
  const to = wanted < head ? wanted : head
  if (to - from >= BigInt(logBlocksMax)) throw limit(`eth_getLogs takes at most ${logBlocksMax} blocks`)
  const found: unknown[] = []
  for (let block = from; block <= to; block++) {
    if (signal.aborted) throw limit('eth_getLogs took too long')
    const at = hexOf(block)
    found.push(...((await execute('eth_getLogs', [{ address, topics, fromBlock: at, toBlock: at }])) as unknown[]))
    if (found.length > logEntriesMax) throw limit(`eth_getLogs returns at most ${logEntriesMax} logs`)
  }
  return found
}

const limit = (why: string) => rpcError(errorCodes.limitExceeded, why)
