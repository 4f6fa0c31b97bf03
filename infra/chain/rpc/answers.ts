import type { Transport } from 'viem'
import { type Details, Failure } from '../../../domain/errors.ts'
import { causeOf } from '../../system/errors.ts'
import { address, bytes, type Form, hash, listOf, maybe, objectOf, quantity } from './forms.ts'
import { type Header, hashOfHeader, headerShape } from './header.ts'

const topicsMax = 4
const log = objectOf({
  address,
  topics: listOf(hash, topicsMax),
  data: bytes,
  blockHash: maybe(hash),
  blockNumber: maybe(quantity),
  transactionHash: maybe(hash),
  logIndex: maybe(quantity),
})
const receipt = objectOf({ blockHash: hash, transactionHash: hash, logs: listOf(log) })
const blockShape = {
  hash,
  parentHash: hash,
  number: quantity,
  logsBloom: headerShape.logsBloom,
  transactions: listOf(hash),
}
const block = objectOf(blockShape)
const wholeBlock = objectOf({ ...blockShape, ...headerShape })

/** The forms of answers by method; an answer to another one is taken as it is. */
const answers: Readonly<Record<string, Form>> = {
  eth_chainId: quantity,
  eth_blockNumber: quantity,
  eth_getCode: bytes,
  eth_call: bytes,
  eth_getLogs: listOf(log),
  eth_getTransactionReceipt: maybe(receipt),
  eth_getBlockReceipts: maybe(listOf(receipt)),
}
const blockMethods = ['eth_getBlockByNumber', 'eth_getBlockByHash']

/** Returns a failure for answers that do not fit together. */
export const disagree = (why: string, details: Details = {}): Failure =>
  new Failure('CHAIN_NODES_DISAGREE', { why, ...details })

/** For a chain whose headers are of another form. */
const ways = 'where the chain itself hashes its headers in another way, set CHAIN_HEADERS=unchecked'

const check = (form: Form, method: string, answer: unknown, more: Details = {}): void => {
  const wrong = form(answer)
  if (!wrong) return
  const at = wrong.path.join('.') || 'the answer'
  throw new Failure('CHAIN_ANSWER_INVALID', { method, at, why: wrong.why, ...more })
}

const checkBlock = (method: string, asked: unknown, answer: unknown, headers: HeaderCheck): void => {
  if (answer === null) return
  check(block, method, answer)
  const header = answer as Header & { readonly hash: string }
  const { hash: shown, number } = header
  const named = String(asked).toLowerCase()
  const isByNumber = named.startsWith('0x') && method === 'eth_getBlockByNumber'
  const isAsked = isByNumber
    ? BigInt(number) === BigInt(named)
    : !named.startsWith('0x') || shown.toLowerCase() === named
  if (!isAsked) throw disagree('a node shows another block', { asked: String(asked), hash: shown })
  if (headers === 'unchecked') return
  check(wholeBlock, method, answer, { ways })
  const found = hashOfHeader(header)
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
      const { method, params } = asked
      const answer = await request(asked, ...rest).catch((error: unknown) => {
        throw causeOf(error, Failure) ?? error
      })
      const form = answers[method]
      if (form) check(form, method, answer)
      if (blockMethods.includes(method)) checkBlock(method, params?.[0], answer, headers)
      return answer
    }
    return { ...made, request: checked }
  }) as unknown as Inner

type Asked = { readonly method: string; readonly params?: readonly unknown[] }
