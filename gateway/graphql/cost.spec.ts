import { describe, expect, test } from '@jest/globals'
import { isObjectType, parse } from 'graphql'
import { type Cost, costOf } from './cost.ts'
import { limits } from './limits.ts'
import { schema } from './schema.ts'
import { fieldCosts, leafBytes, listItems, textBytes } from './sizes.ts'

const cost = (query: string, variableValues: Record<string, unknown> = {}): Cost =>
  costOf({ schema, document: parse(query), variableValues })
const isWithin = ({ fields, bytes }: Cost) => fields <= limits.fieldsMax && bytes <= limits.answerBytesMax

describe('the cost of a list', () => {
  const page = (argument: string) => `listings${argument} { nodes { id } }`
  const fields = (query: string, variables = {}) => cost(query, variables).fields

  test('counts each row that it asks for, 20 where it does not say', () => {
    expect([
      fields(`{ ${page('')} }`),
      fields(`{ ${page('(first: 1)')} }`),
      fields(`{ ${page('(first: 100)')} }`),
      fields(`query ($n: Int) { ${page('(first: $n)')} }`, { n: 50 }),
      fields(`query ($n: Int = 30) { ${page('(first: $n)')} }`),
      fields(`query ($n: Int) { ${page('(first: $n)')} }`),
      fields('{ events(last: 70) { nodes { id } } }'),
    ]).toEqual([22, 3, 102, 52, 32, 22, 72])
  })

  test.each([-5, 0, 101, 1e9, 1.5, 'x', null, true])('is that of a page for first: %p, which is refused later', (n) => {
    const asked = fields(`query ($n: Int) { ${page('(first: $n)')} }`, { n })
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(asked).toBeLessThanOrEqual(102)
  })

  test('without nodes counts as many items as it asks for', () => {
    const bytes = (argument: string) => cost(`{ gpuModels${argument} }`).bytes
    expect(bytes('(first: 10)')).toBeLessThan(bytes('') / 50)
    expect([bytes('(first: 5000)'), bytes('(first: -5)')]).toEqual([bytes(''), bytes('(first: 1)')])
  })

  test('counts what stands in fragments, and each alias', () => {
    const plain = cost(`{ a: ${page('(first: 9)')} b: ${page('(first: 9)')} }`)
    expect(
      cost(`{ ...Both } fragment Both on Query { ... on Query { a: ${page('(first: 9)')} } b: ${page('(first: 9)')} }`),
    ).toEqual(plain)
  })
})

test('fragments that double each time are looked at once each', () => {
  const doubling = Array.from({ length: 300 }, (_, n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`)
  const query = `{ ...F0 } ${doubling.join(' ')} fragment F300 on Query { head }`
  expect(cost(query).fields).toBeGreaterThan(limits.fieldsMax)
  expect(cost('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A head }').fields).toBe(1)
})

describe('bytes', () => {
  test('are those of the longest texts', () => {
    const bytes = (query: string) => cost(query).bytes
    expect(bytes('{ jobs(first: 100) { nodes { log { text } } } }')).toBeGreaterThan(100 * 65_536)
    expect(bytes('{ jobs(first: 1) { nodes { log(bytesMax: 262144) { text } } } }')).toBeGreaterThan(262_144)
    expect(bytes('{ job(id: "a") { log(bytesMax: 10) { a: text b: text } } }')).toBeLessThan(200)
  })

  test('of the queries that made 115 MB of 685 bytes are over the limit', () => {
    const some = ['log(bytesMax: 262144) { text }', 'files { content }', 'environment { value }', 'command']
    // What is read counts, also where little of it is returned.
    for (const texts of [...some, 'log(bytesMax: 262144) { nextOffset }', 'files { path }', 'environment { name }']) {
      const pages = Array.from({ length: 12 }, (_, n) => `a${n}: jobs(first: 100) { nodes { ${texts} } }`)
      expect(isWithin(cost(`{ ${pages.join(' ')} }`))).toBe(false)
    }
  })
})

describe('within the limits are', () => {
  test('a page of events with their data, and of jobs with their output', () => {
    expect(isWithin(cost('{ events(first: 100) { nodes { id type data } } }'))).toBe(true)
    expect(isWithin(cost('{ jobs(first: 100) { nodes { id log { text nextOffset } } } }'))).toBe(true)
    expect(isWithin(cost('{ jobs { nodes { id command files { path content } environment { name value } } } }'))).toBe(
      true,
    )
  })
})

test('the answer to an import of offers is within the limits, with all that it has', () => {
  const lines = '{ line listing }'
  const refused = '{ line code message hint details { name value } }'
  const query = `mutation { importOffers(input: { csv: "" }) {
    ... on ImportOffersSuccess { position listed ${lines} unchanged ${lines} refused ${refused} }
    ... on Error { code message hint details { name value } } } }`
  expect(isWithin(cost(query))).toBe(true)
})

test('what the tables of sizes name is in the schema', () => {
  const types = Object.values(schema.getTypeMap()).filter(isObjectType)
  const known = new Set(types.flatMap((type) => Object.keys(type.getFields()).map((field) => `${type.name}.${field}`)))
  const named = [textBytes, fieldCosts, listItems].flatMap((table) => Object.keys(table))
  expect(named.filter((path) => path !== 'default' && !known.has(path))).toEqual([])
  expect(Object.keys(leafBytes).filter((name) => name !== 'default' && !schema.getType(name))).toEqual([])
})
