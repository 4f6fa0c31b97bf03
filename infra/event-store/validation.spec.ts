// Data given to the store is refused, or read back as it was given: never changed.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Failure } from '../../domain/errors.ts'
import type { Json, NewEvent } from './port.ts'
import { checkAppends } from './validation.ts'

const metadata = {
  commandId: 'command',
  correlationId: 'correlation',
  causationId: 'cause',
  actor: 'spec',
  time: '2026-01-01T00:00:00.000Z',
  schemaVersion: 1,
}

/** Returns the data as a store would give it back; the reason when it is refused. */
const stored = (data: unknown): { readonly data: unknown } | { readonly reason: string } => {
  const event: NewEvent = { id: '00000000-0000-4000-8000-000000000001', type: 'Tried', data: data as Json, metadata }
  try {
    const [checked] = checkAppends([{ stream: 'spec', expected: 'any', events: [event] }])
    return { data: JSON.parse(checked?.events[0]?.data ?? '') }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'EVENT_INVALID') throw error
    return { reason: error.details.reason ?? '' }
  }
}

/** Returns whether two values are the same to the last sign and property. A property that is undefined counts as
 *  absent; all names count, also symbols and those that cannot be enumerated. */
const isSame = (given: unknown, back: unknown): boolean => {
  if (typeof given !== 'object' || given === null) return Object.is(given, back)
  if (typeof back !== 'object' || back === null || Array.isArray(given) !== Array.isArray(back)) return false
  const [before, after] = [given as Record<string | symbol, unknown>, back as Record<string | symbol, unknown>]
  const names = Reflect.ownKeys(before).filter((name) => before[name] !== undefined)
  return names.length === Reflect.ownKeys(after).length && names.every((name) => isSame(before[name], after[name]))
}

const anything = fc.anything({
  maxDepth: 3,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
})

/** What code can do to a value so that JSON leaves a part of it out, or writes another one. */
const spoilers: Readonly<Record<string, (value: object) => unknown>> = {
  'a symbol key': (value) => Object.assign(value, { [Symbol('s')]: 1 }),
  'a named property': (value) => Object.assign(value, { note: 1 }),
  'a hidden property': (value) => Object.defineProperty(value, 'hidden', { value: 1 }),
  'a hidden toJSON': (value) => Object.defineProperty(value, 'toJSON', { value: () => 1 }),
  'an inherited toJSON': (value) => Object.create(Object.assign(Object.create(null), { toJSON: () => value })),
  'an inherited property': () => Object.create(Object.assign(Object.create(null), { inherited: 1 })),
  'another prototype': (value) => Object.setPrototypeOf(value, { toJSON: () => 1 }),
  'a zero below nothing': (value) => ({ value, zero: -0 }),
  'a hole': (value) => Object.assign([value], { length: 3 }),
  'a key that names the prototype': (value) => JSON.parse(`{"__proto__":${JSON.stringify(Object.keys(value))}}`),
}
const spoiled = fc
  .tuple(
    fc.constantFrom(...Object.keys(spoilers)),
    fc.oneof(fc.array(fc.nat(), { maxLength: 3 }), fc.object({ maxDepth: 1 })),
  )
  .map(([name, value]) => spoilers[name]?.(value))

describe('any value', () => {
  test('is refused or kept', () => {
    let [kept, refused] = [0, 0]
    fc.assert(
      fc.property(
        fc.oneof(anything, spoiled, fc.array(spoiled, { maxLength: 2 }), fc.dictionary(fc.string(), spoiled)),
        (value) => {
          const back = stored(value)
          if ('reason' in back) refused += 1
          else kept += 1
          return 'reason' in back || isSame(value, back.data)
        },
      ),
      { numRuns: 3_000 },
    )
    // A property that never gets anywhere proves nothing.
    expect(Math.min(kept, refused)).toBeGreaterThan(100)
  })

  test('of JSON is kept', () =>
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value)
        const plain: unknown = JSON.parse(text)
        const isStorable = !text.includes('\\u0000') && !/\\ud[89a-f]/i.test(text) && !text.includes('-0')
        return !isStorable || isSame(plain, (stored(plain) as { data: unknown }).data)
      }),
    ))
})

describe('is refused with its reason:', () => {
  const moreThanItems = 'an array holds more than its items'
  const hidden = 'a property is named by a symbol or cannot be enumerated'
  test.each<[string, unknown, string]>([
    ['-0', { a: [-0] }, 'JSON has no -0'],
    ['a symbol key', { [Symbol('s')]: 1 }, hidden],
    ['a property that cannot be enumerated', Object.defineProperty({}, 'a', { value: 1 }), hidden],
    ['a named property of an array', Object.assign([1], { note: 'x' }), moreThanItems],
    ['a symbol key of an array', Object.assign([1], { [Symbol('s')]: 1 }), moreThanItems],
    ['an array with a toJSON', Object.setPrototypeOf([1], { toJSON: () => 2 }), moreThanItems],
    ['a hole', Object.assign([1], { length: 3 }), 'JSON has no undefined'],
    ['a date', new Date(0), 'only plain objects can be stored'],
  ])('%s', (_, data, reason) => expect(stored({ data })).toEqual({ reason }))
})

describe('is kept:', () => {
  test.each<[string, unknown]>([
    ['zero', 0],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['a key __proto__', JSON.parse('{"__proto__":{"a":1}}')],
    ['a text toJSON', { toJSON: 'text' }],
  ])('%s', (_, data) => {
    const back = stored({ data })
    expect('data' in back && isSame({ data }, back.data)).toBe(true)
  })
})
