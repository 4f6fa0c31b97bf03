import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { aggregates } from './aggregates.ts'
import { decoderOf, eventDecoderOf, unsure } from './decoder.ts'
import { field } from './events.ts'

const schemas = Object.values(aggregates).flatMap((aggregate) =>
  Object.entries(aggregate.schemas).map(([type, { schema }]) => [type, schema as z.ZodType] as const),
)

/** Mostly what schemas take, and what lies right beside it. */
const leaf = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    '0',
    '-1',
    '007',
    '1.5',
    '1e3',
    'USDC/6',
    'USD/2',
    'LISTING_FULL',
    'returned',
    'constructor',
  ),
  fc.constantFrom('2026-01-31T12:00:00.000Z', '2026-02-30T12:00:00Z', '2026-01-31T12:00:00', '2024-02-29T00:00:00.1Z'),
  fc.constantFrom<unknown>(0, 1, -1, 0.5, 2 ** 53, 1e21, null, true, 33.3),
  fc.bigInt(-(10n ** 40n), 10n ** 40n).map(String),
)

/** A value of the shape of the schema, with anything in it. */
const shaped = (schema: z.ZodType): fc.Arbitrary<unknown> => {
  const def = schema._zod.def as unknown as Record<string, z.ZodType> & {
    type: string
    shape: Record<string, z.ZodType>
  }
  const inner = (): fc.Arbitrary<unknown> => {
    switch (def.type) {
      case 'object':
        return fc.record(Object.fromEntries(Object.entries(def.shape).map(([key, field]) => [key, shaped(field)])), {
          noNullPrototype: true,
        })
      case 'array':
        return fc.array(shaped(def.element as z.ZodType), { maxLength: 3 })
      case 'record':
        return fc.dictionary(fc.constantFrom('a', 'b', 'constructor'), shaped(def.valueType as z.ZodType))
      case 'readonly':
        return shaped(def.innerType as z.ZodType)
      case 'enum':
        return fc.constantFrom(...Object.values(def.entries as unknown as Record<string, string>))
      case 'number':
        return fc.nat()
      case 'pipe':
        return fc.bigInt().map(String)
      default:
        return fc.constantFrom('a', '2026-01-31T12:00:00.000Z')
    }
  }
  return fc.oneof({ weight: 30, arbitrary: inner() }, { weight: 1, arbitrary: leaf })
}

const expectSame = (schema: z.ZodType, value: unknown): void => {
  const fast = decoderOf(schema)(value)
  if (fast === unsure) return
  expect({ success: true, data: fast }).toStrictEqual(z.safeDecode(schema, value as never))
}

describe('the fast way', () => {
  test.each(schemas)('gives of %s what its schema gives, or is unsure', (_, schema) =>
    fc.assert(
      fc.property(shaped(schema), (value) => expectSame(schema, JSON.parse(JSON.stringify(value)))),
      { numRuns: 200 },
    ),
  )

  test.each(schemas)('is sure of %s as it is written', (_, schema) => {
    let taken = 0
    let sure = 0
    const values = fc.sample(shaped(schema), 300).map((value) => JSON.parse(JSON.stringify(value)) as never)
    for (const value of values)
      if (z.safeDecode(schema, value).success) {
        taken += 1
        if (decoderOf(schema)(value) !== unsure) sure += 1
      }
    expect(taken).toBeGreaterThan(0)
    // What the schema repairs, such as a key that it drops, it may leave to it.
    expect(sure).toBeGreaterThanOrEqual(taken * 0.9)
  })

  test.each<[string, z.ZodType]>([
    ['a refinement', z.string().refine((text) => text !== 'a')],
    ['a default', z.object({ text: z.string().default('b') })],
    ['a strict object', z.strictObject({ text: z.string() })],
    ['a transformation', z.string().transform((text) => text.length)],
    ['a union', z.union([z.string(), z.number()])],
    ['a coercion', z.coerce.number()],
    ['an optional field', z.object({ text: z.string().optional() })],
    ['a bound from above', z.number().max(5)],
    ['a length from above', z.string().max(2)],
    ['a trimmed text', z.string().trim()],
    ['a pattern that remembers', z.string().regex(/a/g)],
    ['a number of 32 bits', z.int32()],
  ])('never says of %s what its schema does not say', (_, schema) => {
    const values = [
      'a',
      'aaa',
      ' a ',
      '7',
      7,
      3e9,
      true,
      {},
      { text: 'a' },
      { text: 'a', more: 1 },
      { text: undefined },
    ]
    for (const value of values) expectSame(schema, value)
  })

  test('of an event puts its type in front, and leaves a field of that name to the schema', () => {
    const fields = { text: 'a' }
    const event = eventDecoderOf('Said', z.object({ text: z.string() }))(fields)
    expect(event).toStrictEqual({ type: 'Said', text: 'a' })
    expect(Object.keys(event as object)).toEqual(['type', 'text'])
    expect(eventDecoderOf('Said', z.object({ type: z.string() }))({ type: 'b' })).toBe(unsure)
    expect(eventDecoderOf('Said', z.string())('a')).toBe(unsure)
  })

  test('leaves a key that schemas drop to them', () => {
    const value = JSON.parse('{ "__proto__": "a", "b": "c" }')
    expect(decoderOf(z.record(z.string(), z.string()))(value)).toBe(unsure)
  })

  test('leaves the value as it is', () => {
    const value = Object.freeze({ amount: '7', asset: 'USDC/6' })
    expect(decoderOf(field.money)(value)).toStrictEqual({ amount: 7n, asset: 'USDC/6' })
  })
})
