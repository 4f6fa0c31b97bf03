// What a request must be before anything of it is done, the same for each transport.
import type { IncomingMessage } from 'node:http'
import { Failure } from '../domain/errors.ts'
import { parseJson } from '../infra/system/json.ts'
import { jsonSizeOf } from '../infra/system/weight.ts'
import { shortened } from './shortened.ts'

/** Of the body of a request, with what stands around the variables. */
export const jsonDepthMax = 30
/** A body or a message that takes more memory than this once it is parsed is not parsed. */
export const jsonBytesMax = 16 * 1024 * 1024

/** Returns about how many bytes JSON takes once it is parsed. Throws INPUT_INVALID where that is too much, and where it
 *  is nested too deep: what goes through values would run out of stack.
 *  @param around how many objects are around the request. */
export const sizeOfJson = (json: string, around = 0): number => {
  const { bytes, depth } = jsonSizeOf(json)
  if (depth > jsonDepthMax + around)
    throw new Failure('INPUT_INVALID', { takes: `values within at most ${jsonDepthMax} others` })
  if (bytes <= jsonBytesMax) return bytes
  throw new Failure('INPUT_INVALID', {
    takes: `values that take at most ${jsonBytesMax} bytes of memory`,
    bytes: String(bytes),
  })
}

/** Returns a body that is an object. Throws INPUT_INVALID for any other. */
export const refuseOther = (body: unknown): object => {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  throw new Failure('INPUT_INVALID', { request: 'no object', takes: 'an object with "query", and perhaps "variables"' })
}

const isHost = (host: string): boolean => !/[\s/\\?#@]/.test(host) && URL.canParse(`http://${host}`)

/** Throws INPUT_INVALID for a request whose Host names none: it is a part of the URL. */
export const refuseHost = ({ headers: { host } }: IncomingMessage): void => {
  if (host === undefined || isHost(host)) return
  throw new Failure('INPUT_INVALID', { host: shortened(host), takes: 'a name or an address, and perhaps a port' })
}

/** Throws INPUT_INVALID for a query whose variables or extensions, in the URL, are no JSON. */
export const refuseParameters = (query: Readonly<Record<string, unknown>>): void => {
  for (const name of ['variables', 'extensions']) {
    const { [name]: text } = query
    if (text === undefined || (typeof text === 'string' && parseJson(text) !== undefined)) continue
    throw new Failure('INPUT_INVALID', { [name]: shortened(String(text)), takes: 'an object as JSON' })
  }
}
