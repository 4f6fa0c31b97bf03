import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { aggregates } from '../aggregates.ts'
import { field } from '../events.ts'
import { compileDecoder, unsure } from './compile.ts'

const schemas = Object.values(aggregates).flatMap((aggregate) =>
  Object.entries(aggregate.schemas).map(([type, { schema }]) => [type, schema as z.ZodType] as const),
)

/** Mostly values that schemas accept, and values close to them. */
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

/** Returns an arbitrary of values with the shape of the schema and anything in it. */
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
      case 'optional':
        // JSON leaves undefined out.
        return fc.option(shaped(def.innerType as z.ZodType), { nil: undefined })
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

const expectSame = (schema: z.ZodType): ((value: unknown) => void) => {
  const decode = compileDecoder(schema)
  return (value) => {
    const decoded = decode(value)
    if (decoded !== unsure) expect({ success: true, data: decoded }).toStrictEqual(z.safeDecode(schema, value as never))
  }
}

describe('a compiled decoder', () => {
  test.each(schemas)('of %s returns what its schema returns, or is unsure', (_, schema) => {
    const compare = expectSame(schema)
    fc.assert(
      fc.property(shaped(schema), (value) => compare(JSON.parse(JSON.stringify(value)))),
      { numRuns: 200 },
    )
  })

  test.each(schemas)('of %s decodes what is usually stored', (_, schema) => {
    const decode = compileDecoder(schema)
    let taken = 0
    let sure = 0
    const values = fc.sample(shaped(schema), 300).map((value) => JSON.parse(JSON.stringify(value)) as never)
    for (const value of values)
      if (z.safeDecode(schema, value).success) {
        taken += 1
        if (decode(value) !== unsure) sure += 1
      }
    expect(taken).toBeGreaterThan(0)
    // It may be unsure of what the schema changes, such as a key that it drops.
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
    ['an optional field before another', z.object({ text: z.string().optional(), more: z.number() })],
    ['a bound from above', z.number().max(5)],
    ['a length from above', z.string().max(2)],
    ['a trimmed text', z.string().trim()],
    ['a pattern with a state', z.string().regex(/a/g)],
    ['a number of 32 bits', z.int32()],
  ])('of %s never returns what its schema does not return', (_, schema) => {
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
    values.forEach(expectSame(schema))
  })

  test('of an event puts its type in front, and is unsure of a schema with a field of that name', () => {
    const fields = { text: 'a' }
    const event = compileDecoder(z.object({ text: z.string() }), 'Said')(fields)
    expect(event).toStrictEqual({ type: 'Said', text: 'a' })
    expect(Object.keys(event as object)).toEqual(['type', 'text'])
    expect(compileDecoder(z.object({ type: z.string() }), 'Said')({ type: 'b' })).toBe(unsure)
    expect(compileDecoder(z.string(), 'Said')('a')).toBe(unsure)
  })

  test('is unsure of a key that schemas drop', () => {
    const value = JSON.parse('{ "__proto__": "a", "b": "c" }')
    expect(compileDecoder(z.record(z.string(), z.string()))(value)).toBe(unsure)
  })

  test('does not change the value', () => {
    const value = Object.freeze({ amount: '7', asset: 'USDC/6' })
    expect(compileDecoder(field.money)(value)).toStrictEqual({ amount: 7n, asset: 'USDC/6' })
  })

  test('is unsure of everything where zod has other internals', () => {
    const others: unknown[] = [{}, { _zod: {} }, { _zod: { def: { type: 'object' } } }]
    for (const schema of others) expect(compileDecoder(schema as z.ZodType)({ text: 'a' })).toBe(unsure)
  })

  test('is unsure of everything where code may not be generated', () => {
    const { Function: original } = globalThis
    globalThis.Function = class {
      constructor() {
        throw new EvalError('Code generation from strings disallowed for this context')
      }
    } as unknown as FunctionConstructor
    try {
      expect(compileDecoder(z.object({ text: z.string() }))({ text: 'a' })).toBe(unsure)
    } finally {
      globalThis.Function = original
    }
  })
})
