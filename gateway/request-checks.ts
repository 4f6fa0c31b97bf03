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
export const refuseOther = (body: unknown): Readonly<Record<string, unknown>> => {
  if (isObject(body)) return body as Readonly<Record<string, unknown>>
  throw new Failure('INPUT_INVALID', { request: 'no object', takes: 'an object with "query", and perhaps "variables"' })
}

const isHost = (host: string): boolean => !/[\s/\\?#@]/.test(host) && URL.canParse(`http://${host}`)

/** Throws INPUT_INVALID for a request whose Host names none: it is a part of the URL. */
export const refuseHost = ({ headers: { host }, httpVersion }: IncomingMessage): void => {
  if (host === undefined ? httpVersion !== '1.1' : isHost(host)) return
  throw new Failure('INPUT_INVALID', { host: shortened(host ?? ''), takes: 'a name or an address, and perhaps a port' })
}

/** Returns the path and query of a URL that may be a whole one, as for a proxy: RFC 9112, section 3.2.2. */
export const originFormOf = (url: string): string => {
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '')
  return path.startsWith('/') || path === url ? path : `/${path}`
}

const parameters = ['query', 'operationName', 'variables', 'extensions'] as const

/** Returns the parameters of a request in a URL; other names are ignored. Throws INPUT_INVALID for one that is there
 *  twice, and for variables or extensions that are no JSON. */
export const parametersIn = (query: unknown): object => {
  const given = query as Readonly<Record<string, unknown>>
  const read = (name: (typeof parameters)[number]): unknown => {
    const text = given[name]
    if (text === undefined) return undefined
    if (typeof text !== 'string') throw wrong(name, text, 'the name once')
    if (name === 'query' || name === 'operationName') return text
    const value = parseJson(text)
    if (value === undefined) throw wrong(name, text, 'an object as JSON')
    return value
  }
  return Object.fromEntries(parameters.map((name) => [name, read(name)]))
}

const wrong = (name: string, value: unknown, takes: string): Failure =>
  new Failure('INPUT_INVALID', { [name]: shortened(typeof value === 'string' ? value : typeof value), takes })

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Throws INPUT_INVALID for a request that is none of GraphQL, on each transport. */
export const refuseParameters = (given: unknown): void => {
  const { query, operationName, variables, extensions, ...others } = refuseOther(given)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw wrong('request', unknown, `no names but ${parameters.join(', ')}`)
  if (typeof query !== 'string' || query === '') throw wrong('query', query, 'a document as a text')
  if (typeof (operationName ?? '') !== 'string') throw wrong('operationName', operationName, 'a name as a text')
  if (!isObject(variables ?? {})) throw wrong('variables', variables, 'an object')
  if (!isObject(extensions ?? {})) throw wrong('extensions', extensions, 'an object')
}
