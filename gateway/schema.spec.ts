import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { GraphQLEnumType, GraphQLObjectType, GraphQLUnionType, parse, validate } from 'graphql'
import { errors } from '../domain/errors.ts'
import { examples } from './graphiql.ts'
import { printedSchema, schema } from './graphql/schema.ts'

const file = new URL('schema.graphql', import.meta.url)

test('gateway/schema.graphql is the print of the schema (UPDATE=1 writes it)', () => {
  if (process.env.UPDATE === '1') writeFileSync(file, printedSchema())
  expect(readFileSync(file, 'utf8')).toBe(printedSchema())
})

test('the enum ErrorCode is the registry of errors, neither more nor less', () => {
  const type = schema.getType('ErrorCode')
  if (!(type instanceof GraphQLEnumType)) throw new Error('ErrorCode is no enum')
  const described = Object.fromEntries(type.getValues().map(({ name, description }) => [name, description]))
  expect(described).toEqual(Object.fromEntries(Object.entries(errors).map(([code, { message }]) => [code, message])))
})

describe('each mutation', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})

  test.each(mutations.map((field) => [field.name, field] as const))(
    '%s takes one input and answers with a union of success and refusal',
    (name, { args, type }) => {
      expect(args.map((argument) => [argument.name, String(argument.type)])).toEqual([
        ['input', `${upper(name)}Input!`],
      ])
      expect(String(type)).toBe(`${upper(name)}Payload!`)
      const union = schema.getType(`${upper(name)}Payload`)
      if (!(union instanceof GraphQLUnionType)) throw new Error(`${union} is no union`)
      expect(union.getTypes().map(String)).toEqual([`${upper(name)}Success`, 'Refused'])
    },
  )

  test.each(['rentGpu', 'submitJob', 'listGpus'])('%s wants an idempotency key', (name) => {
    const input = schema.getType(`${upper(name)}Input`)
    const fields = input && 'getFields' in input ? input.getFields() : {}
    expect(String(fields.idempotencyKey?.type)).toBe('String!')
  })
})

test('each subscription resumes by position', () => {
  for (const { args, type } of Object.values(schema.getSubscriptionType()?.getFields() ?? {})) {
    expect(String(args.find(({ name }) => name === 'after')?.type)).toBe('Position')
    const update = schema.getType(String(type).replace('!', ''))
    if (!(update instanceof GraphQLObjectType)) throw new Error(`${type} is no object`)
    expect(String(update.getFields().position?.type)).toBe('Position!')
  }
})

test.each(examples.map(({ query }) => [query.split('\n')[0], query] as const))(
  'the worked example is valid: %s',
  (_title, query) => {
    expect(validate(schema, parse(query))).toEqual([])
  },
)

const upper = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`
