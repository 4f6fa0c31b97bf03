// Each field of each event and command has a limit: new events keep it, and stored ones need not.
import { describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { type AggregateName, aggregates, decodeDomainEvent, eventSchemas } from './aggregates.ts'
import { isRefusal } from './errors.ts'
import { encodeEvent, encodeNewEvent } from './events.ts'
import { type Extreme, extremeOf, fills, type Leaf, leavesOf } from './limits.testing.ts'
import { int32Max, limitWords, refuseAboveLimits, refuseOversized, shortened, uint256Max } from './limits.ts'
import { costAtMost, type Money } from './money.ts'
import { hourlyRate } from './rental.ts'

const names = Object.keys(aggregates) as AggregateName[]
const types = Object.entries(eventSchemas)
const extremes: readonly Extreme[] = [
  'smallest',
  ...(Object.keys(fills) as (keyof typeof fills)[]).map((largest) => ({ largest })),
]

const isBounded = ({ type, limit }: Leaf): boolean => {
  if (type === 'enum') return true
  if (type === 'array' || type === 'record') return limit?.itemsMax !== undefined
  if (type === 'string') return limit?.charactersMax !== undefined
  return limit?.min !== undefined && limit.max !== undefined
}
const unboundedOf = (schema: z.ZodType): string[] =>
  leavesOf(schema).flatMap((leaf) => (isBounded(leaf) ? [] : [leaf.path.join('.')]))

const eventOf = (type: string, fields: unknown) => ({ type, ...(fields as object) })
const throughJson = (value: unknown) => JSON.parse(JSON.stringify(value))

describe('every field has a limit', () => {
  test.each(types)('of %s', (_, { schema }) => expect(unboundedOf(schema)).toEqual([]))
  test.each(names)('of the commands of a %s', (name) => {
    const unbounded = Object.entries<z.ZodType>(aggregates[name].commandFields).flatMap(([field, schema]) =>
      unboundedOf(schema).map(() => field),
    )
    // A report of more than 100 percent counts as 100.
    expect(unbounded).toEqual(name === 'job' ? ['percent'] : [])
  })
})

describe('the limit itself', () => {
  test.each(types.flatMap(([type, entry]) => extremes.map((extreme) => [type, extreme, entry.schema] as const)))(
    '%s with all fields %j is encoded, and read back the same',
    (type, extreme, schema) => {
      const event = eventOf(type, extremeOf(schema, extreme))
      const encoded = encodeNewEvent(eventSchemas, event)
      if (isRefusal(encoded)) throw new Error(JSON.stringify(encoded))
      expect(decodeDomainEvent(throughJson(encoded))).toEqual(event)
      // What every event store takes.
      expect(JSON.stringify(encoded.data).length).toBeLessThan(1024 * 1024)
    },
  )
})

/** Returns the value of a leaf, one step beyond each side of its limit. */
const beyond = ({ type, limit = {} }: Leaf): unknown[] => {
  if (limit.latest) return ['10000-01-01T00:00:00.000Z'.replace('1', '9'), '0000-12-31T23:59:59.999Z']
  if (type === 'string')
    return [
      'a'.repeat((limit.charactersMax ?? 0) + 1),
      ...(limit.charactersMin ? [''] : []),
      'nul\0',
      'half \ud800 pair',
    ]
  if (type === 'pipe') return [BigInt(limit.max ?? 0) + 1n, BigInt(limit.min ?? 0) - 1n]
  if (type === 'number') return [Number(limit.max) + 1, Number(limit.min) - 1]
  if (type === 'array') return [Array.from({ length: (limit.itemsMax ?? 0) + 1 }, () => 'a')]
  if (type === 'record')
    return [Object.fromEntries(Array.from({ length: (limit.itemsMax ?? 0) + 1 }, (_, n) => [`a${n}`, '']))]
  return []
}

/** Returns a copy with another value at a path; lists and records on the way get one item. */
const withValue = (fields: unknown, [name, ...rest]: readonly string[], value: unknown, item: unknown): unknown => {
  if (name === undefined) return value
  if (name === 'key') return { [String(value)]: '' }
  if (Array.isArray(fields)) return [withValue(item, rest, value, undefined)]
  const before = (fields as Record<string, unknown>)[name]
  return { ...(fields as object), [name]: withValue(before, rest, value, item) }
}

/** Returns the smallest item of the list at the first name of a path, if it is one. */
const itemOf = (schema: z.ZodType, [name]: readonly string[]): unknown => {
  const large = (extremeOf(schema, { largest: 'wide' }) as Record<string, unknown>)[name ?? '']
  return Array.isArray(large) ? large[0] : undefined
}

describe('beyond the limit', () => {
  const cases = types.flatMap(([type, { schema }]) =>
    leavesOf(schema).flatMap((leaf) => beyond(leaf).map((value) => ({ type, schema, leaf, value }))),
  )
  test('there are cases of every type with fields', () =>
    expect(new Set(cases.map(({ type }) => type)).size).toBe(types.length - 2))

  test.each(types.map(([type]) => type))('no field of %s is encoded, and the refusal names it', (type) => {
    for (const { schema, leaf, value } of cases.filter((each) => each.type === type)) {
      const smallest = extremeOf(schema, 'smallest')
      const event = eventOf(type, withValue(smallest, leaf.path, value, itemOf(schema, leaf.path)))
      const answer = encodeNewEvent(eventSchemas, event)
      if (!isRefusal(answer)) throw new Error(`${type} ${leaf.path.join('.')} takes ${shortened(String(value))}`)
      expect(answer.refused).toBe('INPUT_INVALID')
      const [path = '', given = ''] = Object.entries(answer.details)[0] ?? []
      expect(path.replaceAll('[0]', '.0').replace(/\.a$/, '').split(/[. ]/)[0]).toBe(leaf.path[0])
      expect(answer.details.takes).toMatch(/\d|text/)
      expect(given.length).toBeLessThan(100)
      expect(given.isWellFormed() && !given.includes('\0')).toBe(true)
    }
  })

  test.each(types.map(([type]) => type))('what was stored of %s stays readable', (type) => {
    for (const { schema, leaf, value } of cases.filter((each) => each.type === type)) {
      const fields = withValue(extremeOf(schema, 'smallest'), leaf.path, value, itemOf(schema, leaf.path))
      // What the schema itself refuses was never stored.
      if (!z.safeEncode(schema, fields).success) continue
      const event = eventOf(type, fields)
      expect(decodeDomainEvent(throughJson(encodeEvent(eventSchemas, event)))).toEqual(event)
    }
  })
})

describe('a command', () => {
  test('is refused for what is too large, with its path', () => {
    const { commandFields } = aggregates.listing
    const command = { type: 'ListGpus', gpu: 'x'.repeat(5_000), vcpus: 8 }
    expect(refuseOversized(commandFields, command)).toEqual({
      refused: 'INPUT_INVALID',
      details: { gpu: `${'x'.repeat(40)}… (5000 characters)`, takes: 'at most 200 characters' },
    })
    expect(refuseOversized(commandFields, { type: 'ListGpus', vcpus: 3_000_000_000 })).toEqual({
      refused: 'INPUT_INVALID',
      details: { vcpus: '3000000000', takes: '0 to 2,147,483,647' },
    })
    const maxPricePerGpuHour = { amount: 10n ** 30n, asset: 'USDC/6' }
    expect(refuseOversized(commandFields, { type: 'ReserveCapacity', maxPricePerGpuHour })?.details).toMatchObject({
      'maxPricePerGpuHour.amount': '1000000000000000000000000000000',
    })
  })
  test('that is too small is left to the aggregate', () =>
    expect(refuseOversized(aggregates.listing.commandFields, { type: 'ListGpus', gpuCount: 0 })).toBeUndefined())
})

describe('words', () => {
  test.each([
    [{}, ''],
    [{ charactersMax: 2_000 }, 'at most 2,000 characters'],
    [{ charactersMin: 1, charactersMax: 9 }, '1 to 9 characters'],
    [{ min: 1n, max: 2n ** 63n - 1n }, '1 to 2^63 - 1'],
    [{ min: 0 }, 'at least 0'],
    [{ itemsMax: 3, bytesMax: 5_000 }, 'at most 3 items, at most 5,000 bytes as JSON'],
    [{ charactersMax: 24, earliest: 'a', latest: 'b' }, 'at most 24 characters, a to b'],
  ])('of %j', (limit, words) => expect(limitWords(limit)).toBe(words))
})

test('-0 is no number that can be stored', () => {
  const smallest = extremeOf(eventSchemas.GpusListed?.schema ?? z.never(), 'smallest')
  const event = eventOf('GpusListed', { ...(smallest as object), vcpus: -0 })
  expect(encodeNewEvent(eventSchemas, event)).toEqual({
    refused: 'INPUT_INVALID',
    details: { vcpus: '-0', takes: '0 to 2,147,483,647' },
  })
})

test('bytes are those of the whole field, whatever its characters', () => {
  const schema = z.object({ list: z.array(z.string()).meta({ limit: { itemsMax: 9, bytesMax: 12 } }) })
  expect(refuseAboveLimits(schema, { list: ['abc', 'de'] })).toBeUndefined()
  expect(refuseAboveLimits(schema, { list: ['abc', 'd\u6f22'] })).toEqual({
    refused: 'INPUT_INVALID',
    details: { list: '14 bytes', takes: 'at most 12 bytes as JSON' },
  })
})

test('a kind of schema that is not known is refused when it is declared, not ignored', () =>
  expect(() => refuseAboveLimits(z.object({ a: z.map(z.string(), z.string()) }), {})).toThrow('type map'))

test('the most GPUs at the highest price for the longest time cost less than a chain can count', () => {
  const schema = eventSchemas.PriceChanged?.schema ?? z.never()
  const { pricePerGpuHour } = extremeOf(schema, { largest: 'wide' }) as { pricePerGpuHour: Money }
  const { amount } = costAtMost(hourlyRate({ pricePerGpuHour, gpuCount: int32Max }), BigInt(int32Max))
  expect(amount).toBeLessThan(uint256Max)
})
