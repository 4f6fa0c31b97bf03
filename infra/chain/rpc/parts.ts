import {
  BaseError,
  HttpRequestError,
  ResponseBodyTooLargeError,
  RpcRequestError,
  SocketClosedError,
  TimeoutError,
  WebSocketRequestError,
} from 'viem'
import { Failure } from '../../../domain/errors.ts'
import { shortText } from '../../../domain/text.ts'
import { causeOf, errorCode } from '../../system/errors.ts'

/** After so many answers in a row a range of twice the width is tried. */
const answersBeforeGrowth = 8
/** A node that is away, or that takes no more requests now, refuses one block as well. */
const otherStatuses: readonly number[] = [401, 403, 404, 429]
const otherCodes: readonly number[] = [429, -32007]
const awayCodes: readonly string[] =
  'ECONNREFUSED ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH UND_ERR_CONNECT_TIMEOUT'.split(' ')
/** The words of nodes and proxies that refuse an answer for its size. */
const sizeWords = /large|big|long|wide|size|limit|exceed|more than|too many|maximum|time.?out|timed out|range/i
const sizeStatuses: readonly number[] = [408, 413, 504]
const limitExceededCode = -32005

/** Returns the error that the node itself has answered; undefined when the node was not reached. */
export const rpcErrorIn = (error: unknown): RpcRequestError | undefined => causeOf(error, RpcRequestError)

const isAway = (error: unknown): boolean => {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (awayCodes.includes(String(errorCode(cause)))) return true
  return false
}

/** Returns whether a narrower range may be answered where this one was not. Nodes and the proxies before them refuse what
 *  is too much each with its own code and words, or cut it off: what surely has another reason is no such refusal. */
const mayBeTooMuch = (error: unknown): boolean => {
  const answered = rpcErrorIn(error)
  if (answered) return !otherCodes.includes(answered.code) && !otherStatuses.includes(answered.status ?? 0)
  const http = causeOf(error, HttpRequestError)
  if (http) return http.status === undefined ? !isAway(http) : !otherStatuses.includes(http.status)
  const kinds = [ResponseBodyTooLargeError, TimeoutError, SocketClosedError, WebSocketRequestError]
  return kinds.some((kind) => causeOf(error, kind) !== undefined)
}

/** Returns whether what was refused was surely too much, and not only perhaps. */
const isTooMuch = (error: unknown): boolean => {
  if (causeOf(error, ResponseBodyTooLargeError) || causeOf(error, TimeoutError)) return true
  const answered = rpcErrorIn(error)
  const status = answered?.status ?? causeOf(error, HttpRequestError)?.status
  if (status !== undefined && sizeStatuses.includes(status)) return true
  return answered !== undefined && (answered.code === limitExceededCode || sizeWords.test(answered.details))
}

/** Reads a range of blocks, both included. Of a `hasty` one an error is not tried again. */
export type ReadPart<Item> = (from: bigint, to: bigint, hasty: boolean) => Promise<readonly Item[]>

/** Makes the reader of a range in parts that are as wide as the node answers: a part that is refused, cut off or late is
 *  halved, down to one block; the width is kept for the next range, and grows again. It throws what a part throws, and
 *  CHAIN_ANSWER_TOO_LARGE when that is one block and too much.
 *  @param blocksMax the widest part */
export const createPartsReader = (blocksMax: bigint) => {
  let width = blocksMax
  let answers = 0

  const narrow = (blocks: bigint): void => {
    width = blocks / 2n || 1n
    answers = 0
  }
  const grow = (): void => {
    answers++
    if (answers < answersBeforeGrowth || width >= blocksMax) return
    width = width * 2n < blocksMax ? width * 2n : blocksMax
    answers = 0
  }

  /** Resolves to undefined when the part must be narrower. */
  const readPart = async <Item>(from: bigint, to: bigint, read: ReadPart<Item>) => {
    const isOne = from === to
    try {
      return await read(from, to, true)
    } catch (error) {
      if (error instanceof Failure) throw error
      if (!isOne && mayBeTooMuch(error)) return undefined
    }
    try {
      return await read(from, to, false)
    } catch (error) {
      if (!isOne && mayBeTooMuch(error)) return undefined
      if (!isOne || !isTooMuch(error)) throw error
      const why = error instanceof BaseError ? shortText(error.shortMessage) : 'unknown'
      throw new Failure('CHAIN_ANSWER_TOO_LARGE', { block: String(from), why }, error)
    }
  }

  return async <Item>(from: bigint, to: bigint, read: ReadPart<Item>): Promise<Item[]> => {
    const found: Item[] = []
    for (let start = from; start <= to; ) {
      const last = start + width - 1n < to ? start + width - 1n : to
      const part = await readPart(start, last, read)
      if (part === undefined) {
        narrow(last - start + 1n)
        continue
      }
      for (const item of part) found.push(item)
      grow()
      start = last + 1n
    }
    return found
  }
}
