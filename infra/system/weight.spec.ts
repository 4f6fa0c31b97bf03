import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { jsonSizeOf, weightOf } from './weight.ts'

test('a state that holds more weighs more, in whatever it holds it', () => {
  const hundred = Array.from({ length: 100 }, (_, n) => [`key ${n}`, { amount: BigInt(n) }] as const)
  for (const many of [new Map(hundred), new Set(hundred), hundred, Object.fromEntries(hundred)]) {
    expect(weightOf({ many })).toBeGreaterThan(100 * 50)
    expect(weightOf({ many })).toBeLessThan(100 * 500)
  }
  expect(weightOf({ text: 'x'.repeat(10_000) })).toBeGreaterThan(10_000)
})

test('nothing, and what goes round in a circle, can be weighed', () => {
  expect(weightOf(undefined)).toBe(0)
  const round: { self?: unknown } = {}
  round.self = round
  expect(weightOf(round)).toBeLessThan(10_000)
})

test.each(['{}', '[]', '0', '"a,b"', '{"a":[1,2]}', '[[[[]]]]', '{"a":{"b":{"c":{}}}}'])(
  'many of %s are about as heavy in JSON as they are once parsed, and not lighter',
  (item) => {
    const text = `[${Array.from({ length: 1_000 }, () => item).join()}]`
    expect(jsonSizeOf(text).bytes).toBeGreaterThan(weightOf(JSON.parse(text)) * 0.7)
    expect(jsonSizeOf('x'.repeat(1_000_000)).bytes).toBeLessThan(2_100_000)
  },
)

test.each([',', '[', '{', '\\"', '\\\\'])('a long text of %s weighs what its characters do', (piece) => {
  const json = `{"a":"${piece.repeat(100_000)}"}`
  expect(jsonSizeOf(json)).toEqual({ bytes: jsonSizeOf(json.replaceAll(/[,[{]/g, 'x')).bytes + 64, depth: 1 })
})

test('the depth of JSON is that of what it says, whatever its texts have in them', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
  const text = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'a', '\u2028') })
  const values = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'large', withCrossShrink: true }, text, fc.integer(), tie('list'), tie('object')),
    list: fc.array(tie('value'), { maxLength: 3 }),
    object: fc.dictionary(text, tie('value'), { maxKeys: 3 }),
  }))
  fc.assert(
    fc.property(values.value, (value) => expect(jsonSizeOf(JSON.stringify(value, null, 1)).depth).toBe(depthOf(value))),
  )
  expect(jsonSizeOf('['.repeat(1_000_000)).depth).toBe(1_000_000)
})
