import { describe, expect, test } from '@jest/globals'
import {
  buildSchema,
  type GraphQLField,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  graphql,
  isObjectType,
} from 'graphql'
import { allProjections } from '../../projections/all.ts'
import { modelsReadBy } from './models-read.ts'
import { printedSchema, schema as realSchema } from './schema.ts'

/** Resolves to the read models by the path of each field that was resolved, with made-up data. */
const modelsOf = async (document: string): Promise<Record<string, readonly string[]>> => {
  const schema: GraphQLSchema = buildSchema(printedSchema())
  const found: Record<string, readonly string[]> = {}
  const result = await graphql({
    schema,
    source: document,
    fieldResolver: (_source, _args, _context, info: GraphQLResolveInfo) => {
      found[pathOf(info)] = modelsReadBy(info)
      const type = getNamedType(info.returnType)
      if (isObjectType(type)) return String(info.returnType).includes('[') ? [{}] : {}
      return String(type).endsWith('Payload') ? { __typename: String(type).replace('Payload', 'Success') } : null
    },
  })
  const problems = (result.errors ?? []).filter(({ message }) => !message.startsWith('Cannot return null'))
  expect(problems).toEqual([])
  return found
}
const pathOf = ({ path }: GraphQLResolveInfo): string => {
  const keys: string[] = []
  for (let at: GraphQLResolveInfo['path'] | undefined = path; at; at = at.prev)
    if (typeof at.key === 'string') keys.unshift(at.key)
  return keys.join('.')
}

describe('a query waits for the read models that it reads', () => {
  test.each([
    ['{ rental(id: "r") { id } }', 'rental', ['rentals']],
    ['{ rental(id: "r") { id listing { id provider { id } } } }', 'rental', ['listings', 'providers', 'rentals']],
    ['{ rentals { nodes { id } edges { node { invoice { id } } } } }', 'rentals', ['invoices', 'rentals']],
    ['{ gpuModels }', 'gpuModels', ['listings']],
    ['{ viewer { id } }', 'viewer', []],
    ['{ viewer { account { balances { asset } } } }', 'viewer', ['accounts']],
    [
      '{ a: rental(id: "r") { ...F } } fragment F on Rental { id ...G } fragment G on Rental { listing { id } }',
      'a',
      ['listings', 'rentals'],
    ],
    ['{ rental(id: "r") { ... on Rental { job: listing { id } } } }', 'rental', ['listings', 'rentals']],
    ['{ ledgerSums { asset } }', 'ledgerSums', ['ledger-entries']],
  ])('%s', async (document, path, models) => expect((await modelsOf(document))[path]).toEqual(models))

  test('and a mutation for those of its payload', async () => {
    const found = await modelsOf(
      `mutation { endRental(input: { rental: "r" }) { __typename ... on EndRentalSuccess { rental { id listing { id } } } } }`,
    )
    expect(found['endRental.rental']).toEqual(['listings', 'rentals'])
  })
})

describe('for every query of the schema that takes atLeast', () => {
  const fields: GraphQLField<unknown, unknown>[] = Object.values(realSchema.getQueryType()?.getFields() ?? {})
  const names = allProjections.map(({ name }) => name)
  const selectionOf = (field: GraphQLField<unknown, unknown>, depth: number): string => {
    const type = getNamedType(field.type)
    if (!isObjectType(type)) return ''
    const inner = Object.values(type.getFields())
      .filter(
        ({ args, type: own }) =>
          args.every(({ defaultValue, type: input }) => defaultValue !== undefined || !String(input).endsWith('!')) &&
          (depth > 0 || !isObjectType(getNamedType(own))),
      )
      .map((child) => `${child.name} ${selectionOf(child, depth - 1)}`)
    return `{ __typename ${inner.join(' ')} }`
  }
  test.each(
    fields
      .filter(({ args }) => args.some(({ name }) => name === 'atLeast'))
      .map((field) => [field.name, field] as const),
  )('%s: what it reads is known', async (name, field) => {
    const needed = field.args.filter(
      ({ type, defaultValue }) => String(type).endsWith('!') && defaultValue === undefined,
    )
    const args =
      needed.length > 0
        ? `(${needed.map(({ name, type }) => `${name}: ${String(type) === 'Int!' ? '1' : '"x"'}`).join(', ')})`
        : ''
    const found = (await modelsOf(`{ ${name}${args} ${selectionOf(field, 3)} }`))[name] ?? []
    expect(found.length).toBeGreaterThan(0)
    expect(names).toEqual(expect.arrayContaining([...found]))
  })
})
