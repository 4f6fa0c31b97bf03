import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  executeSync,
  type GraphQLObjectType,
  getIntrospectionQuery,
  getNamedType,
  introspectionTypes,
  isObjectType,
  parse,
} from 'graphql'
import { costOf } from './cost.ts'
import { costPlugin, limits } from './limits.ts'
import { schema } from './schema.ts'

const costOfQuery = (query: string) => costOf({ schema, document: parse(query) })
const answerTo = (query: string) => executeSync({ schema, document: parse(query) })

const valuesIn = (value: unknown): number => {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + valuesIn(item), 0)
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce<number>((sum, item) => sum + 1 + valuesIn(item), 0)
}

const typeNamed = (name: string) => introspectionTypes.find((type) => type.name === name) as GraphQLObjectType
/** Selections of a type of the schema itself, each field under an alias of its own, some in inline fragments. */
const selections = (type: GraphQLObjectType, depth: number): fc.Arbitrary<string> => {
  const field = fc.constantFrom(...Object.values(type.getFields())).chain((chosen) => {
    const named = getNamedType(chosen.type)
    const all = chosen.args.some(({ name }) => name === 'includeDeprecated')
    const name = fc.constantFrom(chosen.name, ...(all ? [`${chosen.name}(includeDeprecated: true)`] : []))
    if (!isObjectType(named)) return name
    const inner = depth > 0 ? selections(named, depth - 1) : fc.constant('{ __typename }')
    return fc.tuple(name, inner).map((parts) => parts.join(' '))
  })
  return fc
    .array(fc.tuple(field, fc.boolean()), { minLength: 1, maxLength: 3 })
    .map((fields) =>
      fields.map(([text, isInline], index) =>
        isInline ? `... on ${type.name} { x${depth}y${index}: ${text} }` : `x${depth}y${index}: ${text}`,
      ),
    )
    .map((fields) => `{ ${fields.join(' ')} }`)
}
const names = Object.keys(schema.getTypeMap())
const queries = fc.oneof(
  selections(typeNamed('__Schema'), 4).map((text) => `{ __schema ${text} }`),
  fc
    .tuple(fc.constantFrom('none', ...names), selections(typeNamed('__Type'), 5))
    .map(([name, text]) => `{ __type(name: "${name}") ${text} }`),
)

test('what is asked of the schema itself costs as many values as the answer has, and is as long, or is over the limit', () =>
  fc.assert(
    fc.property(queries, (query) => {
      const { fields, bytes, schemaBytes } = costOfQuery(query)
      expect(schemaBytes).toBe(bytes)
      if (fields > limits.fieldsMax) return
      const { data } = answerTo(query)
      const written = Buffer.byteLength(JSON.stringify(data))
      expect(fields).toBe(5 * valuesIn(data))
      expect(bytes).toBeGreaterThan(0.8 * written)
      expect(bytes).toBeLessThan(2 * written + 20)
    }),
    { numRuns: 60 },
  ))

describe('standard queries', () => {
  const options = fc.record({
    descriptions: fc.boolean(),
    specifiedByUrl: fc.boolean(),
    directiveIsRepeatable: fc.boolean(),
    schemaDescription: fc.boolean(),
    inputValueDeprecation: fc.boolean(),
    oneOf: fc.boolean(),
  })
  test('for the whole schema are within the limits, with all that they may ask for', () =>
    fc.assert(
      fc.property(options, (chosen) => {
        const { fields, bytes } = costOfQuery(getIntrospectionQuery(chosen))
        expect([fields <= limits.fieldsMax, bytes <= limits.answerBytesMax]).toEqual([true, true])
      }),
      { numRuns: 20 },
    ))
})

test.each([
  [
    'all values of enums, by three ways',
    '{ __schema { types { possibleTypes { fields { type { ofType { enumValues { name description isDeprecated } } } } } fields { type { enumValues { name } ofType { enumValues { name description } } fields { type { ofType { enumValues { name description } } } } } } } } }',
  ],
  [
    'fragments that double',
    `{ __schema { ...F0 } } ${Array.from({ length: 40 }, (_, at) => `fragment F${at} on __Schema { ...F${at + 1} ...F${at + 1} }`).join(' ')} fragment F40 on __Schema { __typename }`,
  ],
  [
    'the schema under many names',
    `{ ${Array.from({ length: 200 }, (_, at) => `a${at}: __schema { types { name fields { name } } }`).join(' ')} }`,
  ],
])('over the limits are %s', (_what, query) => expect(costOfQuery(query).fields).toBeGreaterThan(limits.fieldsMax))

test('the bytes of the schema count as those of any answer, before it is executed', () => {
  const answer = { bytes: 0 }
  const args = { schema, document: parse(getIntrospectionQuery()), contextValue: { answer } }
  const stopped: unknown[] = []
  costPlugin().onExecute?.({ args, setResultAndStopExecution: (result: unknown) => stopped.push(result) } as never)
  expect(stopped).toEqual([])
  expect(answer.bytes).toBeGreaterThan(0.9 * JSON.stringify(answerTo(getIntrospectionQuery())).length)
})
