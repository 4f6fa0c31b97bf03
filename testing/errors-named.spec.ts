// Each message and hint names only what there is: fields and operations of the API, settings, commands, options, pages.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { buildSchema, isEnumType, isInputObjectType, isInterfaceType, isObjectType } from 'graphql'
import { errors } from '../domain/errors.ts'
import { settings } from '../infra/config.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Returns every name of the API: of types, fields, arguments and values. */
const apiNames = (): ReadonlySet<string> => {
  const types = Object.values(buildSchema(read('gateway/schema.graphql')).getTypeMap())
  return new Set(
    types.flatMap((type) => {
      if (isEnumType(type)) return [type.name, ...type.getValues().map(({ name }) => name)]
      if (isInputObjectType(type)) return [type.name, ...Object.keys(type.getFields())]
      if (!isObjectType(type) && !isInterfaceType(type)) return [type.name]
      const fields = Object.values(type.getFields())
      return [type.name, ...fields.flatMap(({ name, args }) => [name, ...args.map((argument) => argument.name)])]
    }),
  )
}

const api = apiNames()
const scripts = Object.keys(JSON.parse(read('package.json')).scripts)
const tools = readdirSync(join(root, 'cli'))
  .filter((name) => /^[a-z-]+\.ts$/.test(name))
  .map((name) => read(`cli/${name}`))
const routes = ['gateway/server.ts', 'gateway/health.ts'].map(read).join('\n')
const codes = Object.keys(errors)
/** Names of the operating system and of HTTP. */
const elsewhere = new Set(['PATH', 'README'])

/** Returns what a text names that is nowhere. */
const unknownNames = (text: string): string[] => {
  const found = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, name = '']) => name)
  return [
    // camelCase is a field, an argument or an operation; PascalCase with a second capital a type.
    ...found(/(?<![\w./-])([a-z]+[A-Z]\w*)/g).filter((name) => !api.has(name)),
    ...found(/(?<![\w./-])([A-Z][a-z]+[A-Z]\w*)/g).filter(
      (name) =>
        !api.has(name) && !/^(PostgreSQL|PgBouncer|GraphQL|EventStoreDB|KurrentDB|WebSocket|NeuralMesh)$/.test(name),
    ),
    ...found(/(?<![\w.-])([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+|PORT|HOST|ROLES|OPERATORS|ANALYSTS|AUDITORS)\b/g).filter(
      (name) => !(name in settings.shape) && !codes.includes(name) && !elsewhere.has(name),
    ),
    ...found(/npm run (?:-s )?([\w-]+)/g).filter((name) => !scripts.includes(name)),
    ...found(/npm (start|test)\b/g).filter((name) => !scripts.includes(name)),
    ...found(/(?<!\S)(--[a-z][\w-]*)/g).filter(
      (name) => !tools.some((tool) => tool.includes(`'${name.slice(2)}':`) || tool.includes(`${name.slice(2)}: {`)),
    ),
    ...found(/(?<![\w/])(\/[a-z]+)\b(?!\/)/g).filter((name) => !routes.includes(`'${name}'`)),
    ...found(/\b((?:docs|ADR)\/[\w./-]*\w)/g).filter((name) => !existsSync(join(root, name))),
  ]
}

test.each(Object.entries(errors))('%s names what there is', (_, { message, hint }) =>
  expect(unknownNames(`${message} ${hint}`)).toEqual([]),
)

/** What a hint asks to be raised, lowered, set or given must have a name that can be written. */
const vague = /\b([Rr]aise|[Ll]ower|[Ss]et) (the|it|a|your) (?!wallet)/
test.each(Object.entries(errors))('%s asks for nothing without its name', (_, { hint }) =>
  expect(hint).not.toMatch(vague),
)

describe('a name that is nowhere is found', () => {
  test.each([
    'maxPrice',
    'RentGpuOutput',
    'DATABASE_FOLDER',
    'npm run rent',
    '--everything',
    '/statuses',
    'docs/nothing.md',
  ])('%s', (name) => expect(unknownNames(`Use ${name} for it.`)).toEqual([name.replace('npm run ', '')]))

  test('and these are there', () =>
    expect(
      unknownNames(
        'Raise maxPricePerGpuHour, call withdrawListing, set DATA_DIR or PORT, run npm start or npm run tour, give --url, see docs/errors.md, /status and LISTING_FULL.',
      ),
    ).toEqual([]))
})
