import { Failure } from '../../domain/errors.ts'
import { isStorable } from '../../domain/text.ts'
import type { Append, ExpectedRevision, NewEvent } from './port.ts'

/** Characters are Unicode code points, as the database counts them. */
export const nameCharactersMax = 250
/** Far below the limit of the JSON parser of the database. */
export const jsonDepthMax = 200
export const appendBytesMax = 64 * 1024 * 1024
export const revisionMax = 2n ** 63n - 1n

/** A valid event, with data and metadata as the JSON text that is stored. The id is in lower case. */
export type CheckedEvent = {
  readonly id: string
  readonly type: string
  readonly data: string
  readonly metadata: string
}
export type CheckedAppend = {
  readonly stream: string
  readonly expected: ExpectedRevision
  readonly events: readonly CheckedEvent[]
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const utcTime = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?Z$/

/** Returns true for a valid name of a stream or type: 1 to 250 characters, without NUL and half surrogate pairs. */
export const isName = (name: string): boolean =>
  name.length > 0 &&
  name.length <= nameCharactersMax * 2 &&
  isStorable(name) &&
  (name.length <= nameCharactersMax || Array.from(name).length <= nameCharactersMax)

/** Returns true for a text that a name can begin with. */
export const isNamePrefix = (prefix: string): boolean => isStorable(prefix)

/** Returns true for a UUID, in lower or upper case. */
export const isUuid = (text: string): boolean => uuid.test(text)

/** Returns true for a time in ISO 8601 and UTC, to the millisecond at most, on a day that exists in the calendar. */
export const isUtcTime = (text: string): boolean => {
  if (!utcTime.test(text) || text.startsWith('0000')) return false
  // Every month has at least 28 days.
  if (Number(text.slice(8, 10)) <= 28) return true
  const moment = new Date(text)
  return !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(text.slice(0, 19))
}

type Problem = { readonly reason: string; readonly path: string }

const underKey = (key: string | number, problem: Problem | undefined): Problem | undefined =>
  problem && { ...problem, path: `.${key}${problem.path}` }

const problemInText = (text: string): Problem | undefined =>
  isStorable(text) ? undefined : { reason: 'a text holds a NUL character or half a surrogate pair', path: '' }

const problemInNumber = (value: number): Problem | undefined => {
  if (!Number.isFinite(value)) return { reason: 'a number is not finite', path: '' }
  return Object.is(value, -0) ? { reason: 'JSON has no -0', path: '' } : undefined
}

/** Returns whether the prototype is that of plain objects: none, or an Object.prototype, which may be that of another
 *  realm. Any other one may have properties that JSON leaves out. */
const isPlainPrototype = (prototype: unknown): boolean =>
  prototype === null ||
  prototype === Object.prototype ||
  (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf'))

const hasToJson = (value: object): boolean => typeof (value as { readonly toJSON?: unknown }).toJSON === 'function'

/** Returns the number of properties, also of those that JSON leaves out: named by a symbol, or not to be enumerated. A
 *  tenth of the time that Reflect.ownKeys takes. */
const propertyCount = (value: object): number =>
  Object.getOwnPropertyNames(value).length + Object.getOwnPropertySymbols(value).length

/** Finds what JSON cannot represent. A property that is undefined is left out, as JSON does; any other silent change
 *  is a problem. */
const problemIn = (value: unknown, depth: number, textProblem = problemInText): Problem | undefined => {
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string') return textProblem(value)
  if (typeof value === 'number') return problemInNumber(value)
  if (typeof value !== 'object') return { reason: `JSON has no ${typeof value}`, path: '' }
  if (depth >= jsonDepthMax) return { reason: `nested deeper than ${jsonDepthMax}`, path: '' }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const problem = underKey(index, problemIn(value[index], depth + 1, textProblem))
      if (problem) return problem
    }
    const hasItemsAlone = propertyCount(value) === value.length + 1
    return hasItemsAlone && !hasToJson(value) ? undefined : { reason: 'an array holds more than its items', path: '' }
  }
  const keys = Object.keys(value)
  if (!isPlainPrototype(Object.getPrototypeOf(value)) || (hasToJson(value) && !keys.includes('toJSON')))
    return { reason: 'only plain objects can be stored', path: '' }
  if (propertyCount(value) !== keys.length)
    return { reason: 'a property is named by a symbol or cannot be enumerated', path: '' }
  for (const key of keys) {
    const item = (value as Readonly<Record<string, unknown>>)[key]
    if (item === undefined) continue
    const problem = textProblem(key) ?? underKey(key, problemIn(item, depth + 1, textProblem))
    if (problem) return problem
  }
  return undefined
}

const refuseEvent = (stream: string, reason: string, more: Readonly<Record<string, string>> = {}): never => {
  throw new Failure('EVENT_INVALID', { stream: stream.toWellFormed().replaceAll('\0', '\u2400'), reason, ...more })
}

const checkEvent = (stream: string, event: NewEvent): CheckedEvent => {
  const { id, type, data, metadata } = event
  if (!uuid.test(id)) refuseEvent(stream, 'the event id is not a UUID', { eventId: id.slice(0, 80).toWellFormed() })
  if (!isName(type))
    refuseEvent(stream, `the type is not 1 to ${nameCharactersMax} storable characters`, { eventId: id })
  const texts = jsonTextsOf(data, metadata)
  if (texts === undefined) {
    const problem = underKey('data', problemIn(data, 0)) ?? underKey('metadata', problemIn(metadata, 0))
    if (problem)
      refuseEvent(stream, problem.reason, { eventId: id, field: problem.path.slice(1).toWellFormed().slice(0, 200) })
  }
  if (!isUtcTime(metadata.time))
    refuseEvent(stream, 'the time is not ISO 8601 in UTC', { eventId: id, field: 'metadata.time' })
  return {
    id: id.toLowerCase(),
    type,
    ...(texts ?? { data: JSON.stringify(data), metadata: JSON.stringify(metadata) }),
  }
}

const noProblem = () => undefined

/** Returns the JSON texts when a quick check finds no problem, else undefined: the full check then finds the
 *  problem, if there is one. JSON escapes half a surrogate pair and NUL as \u…, so without such an escape no text
 *  needs its own check. */
const jsonTextsOf = (data: unknown, metadata: unknown): { data: string; metadata: string } | undefined => {
  if (problemIn(data, 0, noProblem) ?? problemIn(metadata, 0, noProblem)) return undefined
  const texts = { data: JSON.stringify(data), metadata: JSON.stringify(metadata) }
  return texts.data.includes('\\u') || texts.metadata.includes('\\u') ? undefined : texts
}

/** Returns the number of characters in the JSON texts and names of an append, as an estimate of its size in bytes. */
export const charactersOf = ({ stream, events }: CheckedAppend): number =>
  events.reduce((sum, { type, data, metadata }) => sum + type.length + data.length + metadata.length, stream.length)

const checkAppend = ({ stream, expected, events }: Append): CheckedAppend => {
  if (!isName(stream)) refuseEvent(stream, `the stream is not 1 to ${nameCharactersMax} storable characters`)
  if (typeof expected === 'bigint' && (expected < 0n || expected > revisionMax))
    refuseEvent(stream, 'no stream can be at the expected revision', { expected: String(expected) })
  if (events.length === 0) refuseEvent(stream, 'there is no event to append')
  const checked = { stream, expected, events: events.map((event) => checkEvent(stream, event)) }
  if (charactersOf(checked) > appendBytesMax) refuseEvent(stream, `larger than ${appendBytesMax} bytes in one append`)
  return checked
}

/** Checks the appends of one request, and returns them as they are stored. Throws EVENT_INVALID. */
export const checkAppends = (appends: readonly Append[]): readonly CheckedAppend[] => {
  if (appends.length === 0) refuseEvent('', 'there is no event to append')
  const checked = appends.map(checkAppend)
  const streams = new Set<string>()
  const ids = new Set<string>()
  for (const { stream, events } of checked) {
    if (streams.has(stream)) refuseEvent(stream, 'the stream is named twice in one append')
    streams.add(stream)
    for (const { id } of events) {
      if (ids.has(id)) refuseEvent(stream, 'the event id is used twice in one append', { eventId: id })
      ids.add(id)
    }
  }
  return checked
}
