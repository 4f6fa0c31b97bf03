// How much a node may answer. A text is measured before it is parsed: of a text of many small or deep values, V8 takes
// seconds for a few megabytes.
import { ResponseBodyTooLargeError } from 'viem'
import { Failure } from '../../../domain/errors.ts'
import { parseJson } from '../../system/json.ts'
import { jsonSizeOf } from '../../system/weight.ts'

/** The largest answer that is taken. */
export const answerBytesMax = 10 * 1024 * 1024
const kibibyte = 1024
/** Of methods whose answers are short: with the text of an error. */
const bytesMaxByMethod: Readonly<Record<string, number>> = {
  eth_chainId: 128 * kibibyte,
  eth_blockNumber: 128 * kibibyte,
  eth_getCode: 1024 * kibibyte,
}
/** Receipts in an answer to many requests are eight deep. */
const depthMax = 32
/** About one value in 16 bytes: logs and receipts have one in 45. The first ones are for errors, which are short. */
const memoryPerByteMax = 6
const memoryMin = 64 * kibibyte

const methodsIn = (body: unknown): readonly string[] => {
  const requests = typeof body === 'string' ? parseJson(body) : undefined
  return [requests].flat().map((request) => String((request as { method?: unknown } | undefined)?.method))
}

const tooLarge = (maxSize: number, size: number) => new ResponseBodyTooLargeError({ maxSize, size })

const textOf = async (answer: Response, bytesMax: number): Promise<string> => {
  const announced = Number(answer.headers.get('content-length'))
  const pieces: Uint8Array[] = []
  let bytes = 0
  if (announced > bytesMax) await answer.body?.cancel()
  // To leave the loop cancels the rest.
  else
    for await (const piece of answer.body ?? []) {
      bytes += piece.byteLength
      if (bytes > bytesMax) break
      pieces.push(piece)
    }
  if (announced > bytesMax || bytes > bytesMax) throw tooLarge(bytesMax, Math.max(announced, bytes))
  // Unlike a buffer, it leaves out a byte order mark.
  return new TextDecoder().decode(Buffer.concat(pieces))
}

/** Makes a fetch for JSON-RPC whose answers are as large as the methods in its body need. It throws a
 *  ResponseBodyTooLargeError, and CHAIN_ANSWER_INVALID for what takes too long to parse. */
export const fetchSized =
  (fetching: typeof fetch): typeof fetch =>
  async (url, request) => {
    const methods = methodsIn(request?.body)
    const answer = await fetching(url, request)
    const text = await textOf(answer, Math.max(...methods.map((method) => bytesMaxByMethod[method] ?? answerBytesMax)))
    const { bytes, depth } = /^\s*[[{]/.test(text) ? jsonSizeOf(text) : { bytes: 0, depth: 0 }
    if (depth > depthMax || bytes > memoryMin + memoryPerByteMax * text.length)
      throw new Failure('CHAIN_ANSWER_INVALID', {
        method: methods[0] ?? '',
        at: 'the answer',
        why: depth > depthMax ? 'too deep' : 'too many values',
      })
    return Object.defineProperties(answer, { body: { value: null }, text: { value: async () => text } })
  }
