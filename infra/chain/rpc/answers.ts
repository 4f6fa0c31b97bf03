import type { Transport } from 'viem'
import { z } from 'zod'
import { type Details, Failure } from '../../../domain/errors.ts'
import { address, bytes, hash, hashOfHeader, headerShape, quantity } from './header.ts'

const log = z.object({
  address,
  topics: z.array(hash),
  data: bytes,
  blockHash: hash.nullable(),
  blockNumber: quantity.nullable(),
  transactionHash: hash.nullable(),
  logIndex: quantity.nullable(),
})
const receipt = z.object({ blockHash: hash, transactionHash: hash, logs: z.array(log) })
const block = z.object({
  hash,
  parentHash: hash,
  number: quantity,
  logsBloom: headerShape.logsBloom,
  transactions: z.array(hash),
})
const wholeBlock = block.extend(headerShape)

/** The forms of answers by method; an answer to another one is taken as it is. */
const answers: Readonly<Record<string, z.ZodType>> = {
  eth_chainId: quantity,
  eth_blockNumber: quantity,
  eth_getCode: bytes,
  eth_call: bytes,
  eth_getLogs: z.array(log),
  eth_getTransactionReceipt: receipt.nullable(),
  eth_getBlockReceipts: z.array(receipt).nullable(),
}
const blockMethods = ['eth_getBlockByNumber', 'eth_getBlockByHash']

/** Returns a failure for answers that do not fit together. */
export const disagree = (why: string, details: Details = {}): Failure =>
  new Failure('CHAIN_NODES_DISAGREE', { why, ...details })

/** For a chain whose headers are of another form. */
const ways = 'where the chain itself hashes its headers in another way, set CHAIN_HEADERS=unchecked'

const parsed = <Value>(schema: z.ZodType<Value>, method: string, answer: unknown, more: Details = {}): Value => {
  const read = schema.safeParse(answer)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0] ?? { path: [], message: 'unknown' }
  const at = path.map(String).join('.') || 'the answer'
  throw new Failure('CHAIN_ANSWER_INVALID', { method, at, why: message, ...more })
}

const checkBlock = (method: string, asked: unknown, answer: unknown, headers: HeaderCheck): void => {
  if (answer === null) return
  const { hash: shown, number } = parsed(block, method, answer)
  const named = String(asked).toLowerCase()
  const isByNumber = named.startsWith('0x') && method === 'eth_getBlockByNumber'
  const isAsked = isByNumber
    ? BigInt(number) === BigInt(named)
    : !named.startsWith('0x') || shown.toLowerCase() === named
  if (!isAsked) throw disagree('a node shows another block', { asked: String(asked), hash: shown })
  if (headers === 'unchecked') return
  const found = hashOfHeader(parsed(wholeBlock, method, answer, { ways }))
  if (found !== shown.toLowerCase())
    throw disagree('a block does not have the hash that it is shown with', { hash: shown, found, ways })
}

/** Whether the hash of each header is computed: a chain may make its hashes in a way of its own. */
export type HeaderCheck = 'checked' | 'unchecked'

/** Makes a transport whose answers are checked before anything of them is believed: each has the form that its method
 *  asks for, and a block is the one that was asked for, with the hash of its header. Its requests throw
 *  CHAIN_ANSWER_INVALID and CHAIN_NODES_DISAGREE. */
export const checkedTransport = <Inner extends Transport>(inner: Inner, headers: HeaderCheck): Inner =>
  ((...options: Parameters<Inner>) => {
    const made = inner(...(options as Parameters<Transport>))
    const request = made.request as (asked: Asked, ...rest: unknown[]) => Promise<unknown>
    const checked = async (asked: Asked, ...rest: unknown[]): Promise<unknown> => {
      const answer = await request(asked, ...rest)
      const { method, params } = asked
      const schema = answers[method]
      if (schema) parsed(schema, method, answer)
      if (blockMethods.includes(method)) checkBlock(method, params?.[0], answer, headers)
      return answer
    }
    return { ...made, request: checked }
  }) as unknown as Inner

type Asked = { readonly method: string; readonly params?: readonly unknown[] }
