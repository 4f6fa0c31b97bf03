// The rules of the house as a test. Each rule is a function from the files to its complaints, one sentence each. A
// table beside the rule lists what is excused, with the reason; an excuse that is needed no more is a complaint too. At
// the end each rule is shown files that break it. This page must not match its own patterns: hence the [brackets].
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { errors } from '../../domain/errors.ts'
import { type Excuses, excuse } from './excuses.ts'
import {
  callOf,
  eachNode,
  exportedMethods,
  exportedValues,
  type Files,
  identifierCounts,
  isTest,
  membersRead,
  parseSources,
  readFiles,
  type Source,
  targetOf,
} from './source-tree.ts'

const isGenerated = (path: string): boolean => path.startsWith('contracts/bindings/')

const linesMax = { product: 300, test: 400 }
/** Today's longer ones: they may only shrink, and their figure with them. */
const longFiles: Readonly<Record<string, number>> = {}

const lengthComplaints = (files: Files, longer = longFiles): string[] =>
  [...files].flatMap(([path, text]) => {
    if (!/\.(ts|mjs|js|sol)$/.test(path) || isGenerated(path)) return []
    const lines = text.split('\n').length - 1
    const max = isTest(path) ? linesMax.test : linesMax.product
    const known = longer[path]
    if (known !== undefined && lines < known) return [`${path} has shrunk to ${lines} lines: so shall its figure`]
    return lines > (known ?? max) ? [`${path} has ${lines} lines, ${known ?? max} are allowed`] : []
  })

/** `within` are the files where a call is banned, except for those of `but`. */
const bannedCalls: readonly { call: RegExp; within: RegExp; but?: RegExp; instead: string }[] = [
  { call: /^(Date\.now|new Date\(\)|Math\.random)$/, within: /^domain\//, instead: 'time and ids travel in commands' },
  { call: /^(crypto|performance|process)\./, within: /^domain\//, instead: 'the domain knows no machine' },
  { call: /^Number\(money\)$/, within: /^(?!(infra|contracts|cli)\/)/, instead: 'money is a bigint' },
  {
    call: /^process\.env$/,
    within: /./,
    but: /^(main\.ts$|infra\/config\.ts$|cli\/|bench\/)/,
    instead: 'the settings come from Config',
  },
  { call: /^console\./, within: /./, but: /^(main\.ts$|cli\/)/, instead: 'the log is an argument' },
]

const callComplaints = (sources: readonly Source[]): string[] =>
  sources
    .filter(({ path }) => !isTest(path))
    .flatMap(({ path, tree, imports }) => {
      const found = new Set<string>()
      eachNode(tree, (node) => {
        const called = callOf(node, tree)
        for (const { call, within, but, instead } of bannedCalls)
          if (called !== undefined && call.test(called) && within.test(path) && !but?.test(path))
            found.add(`${path} has ${called}: ${instead}`)
      })
      const isDoor = /^infra\/postgres(\/|\.ts$)/.test(path)
      if (!isDoor && imports.some(({ specifier, typesOnly }) => specifier === 'pg' && !typesOnly))
        found.add(`${path} imports pg: infra/postgres.ts is the door to it`)
      return [...found]
    })

const callExcuses: Excuses = {
  'infra/chain/embedded/simulator.ts has process.env: the settings come from Config':
    'Hardhat reads no other setting for it',
  'infra/embedded-postgres/run-as.ts has process.env: the settings come from Config':
    'PATH, for the programs that it starts',
  'contracts/build.ts has console.log: the log is an argument': 'a separate program, for people',
}

/** `but` are the files that may all the same. */
const bannedWords: readonly { words: RegExp; instead: string; but?: RegExp }[] = [
  { words: /\b(T[O]DO|F[I]XME)\b/, instead: 'do it, or open an issue' },
  { words: /\.on[l]y\(/, instead: 'it keeps all other tests from running' },
  { words: /\.ski[p]\((?!`\$\{name\} \(\$\{)/, instead: 'give the reason in the title' },
  { words: /\bas an[y]\b(?! [a-z])|@ts-(ig[n]ore|expe[c]t-error)/, instead: 'name the type' },
  { words: /(?<![\w}>)*.~-])\/(hom[e]|User[s]|roo[t]|wor[k]|mn[t])\/\w/, instead: 'no folder of one machine' },
  { words: /regis[t]ry\.(npmjs|yarnpkg)|npm\.pkg\.gith[u]b/, instead: 'no package host', but: /^package-lock\.json$/ },
  { words: /\.\.\/shar[e]d\b/, instead: 'this is not in the repository' },
  {
    words: /\bmk[d]ir\(.*\brecursive: true/,
    instead: 'makeFolders ends where no folder can be made',
    but: /\.(spec|testing)\.ts$|^testing\//,
  },
]

const wordComplaints = (files: Files): string[] =>
  [...files].flatMap(([path, text]) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        bannedWords
          .filter(({ words, but }) => words.test(line) && !but?.test(path))
          .map(({ words, instead }) => `${path}:${index + 1} "${words.exec(line)?.[0]}": ${instead}`),
      ),
  )

/** Returns a complaint for each exported value, and for each method of a port or a service, that nothing uses. Types
 *  are left out: callers may need them to name what they pass. Use by tests does not count for a product file. A method
 *  counts as used when a product file reads a member of its name, unless that file declares a method of that name
 *  itself. */
const deadComplaints = (sources: readonly Source[]): string[] => {
  const usesOf = (users: readonly Source[]) =>
    new Set(
      users.flatMap(({ path, imports }) =>
        imports.flatMap(({ specifier, names }) => names.map((name) => `${targetOf(path, specifier)} ${name}`)),
      ),
    )
  const product = sources.filter(({ path }) => !isTest(path))
  const [everywhere, inProduct] = [usesOf(sources), usesOf(product)]
  const members = new Set(product.flatMap((source) => [...membersRead(source)]))
  return sources.flatMap(({ path, tree }) => {
    const used = isTest(path) ? everywhere : inProduct
    const named = identifierCounts(tree)
    const values = tree.statements
      .flatMap(exportedValues)
      .filter((name) => !used.has(`${path} ${name}`) && !used.has(`${path} *`))
      .filter((name) => (named.get(name) ?? 0) < 2)
    const isService = !isTest(path) && !path.startsWith('infra/async/')
    const methods = isService ? tree.statements.flatMap(exportedMethods) : []
    const idle = methods.filter((name) => !members.has(name.slice(name.indexOf('.') + 1)))
    const where = isTest(path) ? 'nothing' : 'no product code'
    return [...values, ...idle].map((name) => `${path} exports ${name}, and ${where} uses it`)
  })
}

/** Each with its user, today's or a coming one. */
const deadExcuses: Excuses = {
  ...Object.fromEntries(
    ['account', 'job', 'listing', 'payment', 'provider', 'rental'].map((name) => [
      `domain/${name}.lifecycle.ts exports lifecycle, and no product code uses it`,
      'docs/lifecycles.md is printed from it, and the spec of each aggregate runs over it',
    ]),
  ),
  'analysis/revenue-by-gpu.ts exports byStartedMinute, and no product code uses it':
    'the example of another price rule, for analysts who edit it',
  'domain/catalogue.ts exports personalMetadata, and no product code uses it': 'programs that read an export',
  'domain/catalogue.ts exports personalFieldsOf, and no product code uses it': 'programs that read an export',
  'domain/catalogue.ts exports withoutPersonalFields, and no product code uses it': 'programs that read an export',
  'gateway/graphql/schema.ts exports printedSchema, and no product code uses it':
    'its spec writes gateway/schema.graphql with it',
  'infra/async/bounded.ts exports registeredBounds, and no product code uses it': 'docs/limits.md is printed with it',
  'infra/config.ts exports settingsTable, and no product code uses it': 'docs/configuration.md is printed with it',
  'infra/event-store/memory.ts exports createMemoryEventStore, and no product code uses it': 'the engine of pure tests',
  'projections/engine/verify.ts exports compareWithRebuild, and no product code uses it':
    'the chaos run proves the read models with it',
}

const codeComplaints = (sources: readonly Source[], codes: readonly string[]): string[] => {
  const product = sources.filter(({ path }) => !isTest(path) && path !== 'domain/errors.ts')
  return codes
    .filter((code) => !product.some(({ text }) => text.includes(`'${code}'`)))
    .map((code) => `nothing refuses or fails with ${code}`)
}

describe('the house', () => {
  const files = readFiles(join(import.meta.dirname, '../..'))
  const sources = parseSources(files)
  test('files are short', () => expect(lengthComplaints(files)).toEqual([]))
  test('no file calls what is banned there', () => expect(excuse(callComplaints(sources), callExcuses)).toEqual([]))
  test('no banned word is written', () => expect(wordComplaints(files)).toEqual([]))
  test('what is exported is used', () => expect(excuse(deadComplaints(sources), deadExcuses)).toEqual([]))
  test('each error code is used', () => expect(codeComplaints(sources, Object.keys(errors))).toEqual([]))
})

describe('a house in disorder is complained about', () => {
  const complain = (texts: Readonly<Record<string, string>>, rule: (files: Files) => string[]) =>
    expect(rule(new Map(Object.entries(texts))))
  const ofSources = (rule: (sources: readonly Source[]) => string[]) => (files: Files) => rule(parseSources(files))

  test('long files, and a figure that is too high', () =>
    complain(
      {
        'a.ts': '\n'.repeat(301),
        'a.spec.ts': '\n'.repeat(401),
        'long.spec.ts': '',
        'b.ts': '\n'.repeat(300),
      },
      (files) => lengthComplaints(files, { 'long.spec.ts': 464 }),
    ).toEqual([
      'a.ts has 301 lines, 300 are allowed',
      'a.spec.ts has 401 lines, 400 are allowed',
      'long.spec.ts has shrunk to 0 lines: so shall its figure',
    ]))

  test('calls that are banned there', () => {
    const calls =
      'Date.now(); new Date(); new Date(0); Math.random(); crypto.randomUUID(); Number(a.amount); Number(a.id)'
    const texts = {
      'domain/a.ts': calls,
      'gateway/a.ts': `${calls}; process.env.A; console.log()\nimport pg from 'pg'`,
    }
    complain(texts, ofSources(callComplaints)).toEqual([
      ...['Date.now', 'new Date()', 'Math.random'].map(
        (call) => `domain/a.ts has ${call}: time and ids travel in commands`,
      ),
      'domain/a.ts has crypto.randomUUID: the domain knows no machine',
      'domain/a.ts has Number(money): money is a bigint',
      'gateway/a.ts has Number(money): money is a bigint',
      'gateway/a.ts has process.env: the settings come from Config',
      'gateway/a.ts has console.log: the log is an argument',
      'gateway/a.ts imports pg: infra/postgres.ts is the door to it',
    ])
  })

  const words = ['TO_DO', 'FIX_ME', 'test.on_ly(', "test.ski_p('a')", 'x as an_y)', '@ts-ign_ore', '@ts-expe_ct-error']
  test.each([...words, "'/ho_me/ada'", '/ro_ot/x', '/wo_rk/x', 'https://regis_try.npmjs.org', '../sha_red/x'])(
    '%s',
    (text) => {
      const written = text.replace('_', '')
      complain({ 'a.ts': written }, wordComplaints).toEqual([expect.stringMatching(/^a\.ts:1 "/)])
    },
  )

  test('an export that nothing uses, or only tests', () =>
    complain(
      {
        'a.ts':
          '/** dead: named in a comment. */\nexport const dead = "dead"\nexport const alive = 1\nexport const tried = 1\nexport const own = 1\nown + 1',
        'a.spec.ts': "import { tried } from './a.ts'",
        'b.ts': "import { alive } from './a.ts'\nexport { other } from './c.ts'",
        'c.ts': 'export const other = 1',
        'd.testing.ts': 'export const unused = 1',
      },
      ofSources(deadComplaints),
    ).toEqual([
      'a.ts exports dead, and no product code uses it',
      'a.ts exports tried, and no product code uses it',
      'b.ts exports other, and no product code uses it',
      'd.testing.ts exports unused, and nothing uses it',
    ]))

  test('a method that only tests call', () =>
    complain(
      {
        'port.ts': 'export type Port = { called(): void; taken(): void; idle(): void; readonly field: 1 }',
        'a.ts': 'port.called(); const { taken } = port',
        'b.ts': 'type Own = { idle(): void }; own.idle()',
        'infra/async/a.ts': 'export type Tool = { idle(): void }',
        'a.spec.ts': 'port.idle()',
      },
      ofSources(deadComplaints),
    ).toEqual(['port.ts exports Port.idle, and no product code uses it']))

  test('a code without a use', () =>
    complain({ 'a.ts': "refuse('USED')", 'a.spec.ts': "'UNUSED'", 'domain/errors.ts': "'UNUSED'" }, (files) =>
      codeComplaints(parseSources(files), ['USED', 'UNUSED']),
    ).toEqual(['nothing refuses or fails with UNUSED']))
})
