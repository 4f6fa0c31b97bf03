// Documents that are many, long, or ask for much.
import { getIntrospectionQuery } from 'graphql'
import { worstDocuments } from '../worst-documents.ts'
import { type Attack, ask, noLongerThan, onlyCodes, times, unless } from './attack.ts'

const answerBytesMax = 8 * 1024 * 1024
const refusalBytesMax = 20_000

const different: Attack = {
  name: '2,200 different documents of 19 kB',
  run: async (target) => {
    const padding = 'c'.repeat(18_900)
    const answers = await times(target.much(2_200, 150), 8, (index) => ask(target, `{ head } # ${index} ${padding}`))
    return onlyCodes(answers, [undefined])
  },
}

const ofFields: Attack = {
  name: '2,200 different documents of 1,900 tokens',
  run: async (target) => {
    const fields = 'head '.repeat(1_890)
    const answers = await times(target.much(2_200, 100), 8, (index) => ask(target, `query a${index} { ${fields} }`))
    return onlyCodes(answers, [undefined, 'GRAPHQL_VALIDATION_FAILED', 'INPUT_INVALID'])
  },
}

const hardest: Attack = {
  name: '2,200 different documents that are hard to validate',
  run: async (target) => {
    const kinds = Object.values(worstDocuments)
    const answers = await times(target.much(2_200, 60), 8, (index) =>
      ask(target, kinds[index % kinds.length]?.(`a${index}`) ?? ''),
    )
    return onlyCodes(answers, [
      undefined,
      'GRAPHQL_PARSE_FAILED',
      'GRAPHQL_VALIDATION_FAILED',
      'OPERATION_RESOLUTION_FAILURE',
      'INPUT_INVALID',
      'QUERY_TOO_COSTLY',
    ])
  },
}

const long: Attack = {
  name: 'documents of 1 MB',
  run: async (target) => {
    const padding = 'c'.repeat(1_000_000)
    const answers = await times(target.much(200, 20), 8, (index) => ask(target, `{ head } # ${index} ${padding}`))
    return [...onlyCodes(answers, ['INPUT_INVALID']), ...noLongerThan(answers, refusalBytesMax)]
  },
}

/** Each of about a megabyte as JSON. */
const worstVariables: readonly (() => unknown)[] = [
  () => Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, 0])),
  () => ({ types: Array.from({ length: 100_000 }, () => 'JobFailed') }),
  () => Array.from({ length: 500_000 }, () => 0),
  () => ({ constructor: Array.from({ length: 330_000 }, () => ({})) }),
  () => Array.from({ length: 25 }).reduce((value) => [value], 'x'.repeat(1_000_000)),
]

const variables: Attack = {
  name: 'variables of 1 MB, of many names, items and levels',
  run: async (target) => {
    const document = 'query ($filter: EventFilter) { events(filter: $filter) { nodes { id } } }'
    const answers = await times(target.much(100, 10), 8, (index) =>
      ask(
        target,
        document,
        { filter: worstVariables[index % worstVariables.length]?.() },
        { token: target.providerToken },
      ),
    )
    return [
      ...onlyCodes(answers, ['INPUT_INVALID', 'BAD_USER_INPUT', 'TOO_MANY_REQUESTS']),
      ...noLongerThan(answers, refusalBytesMax),
    ]
  },
}

const heavy = [
  'jobs(first: 100) { nodes { command files { path content } environment { name value } log { text } } }',
  'gpuModels',
  'listings(first: 100) { nodes { id gpu region provider { id name } } edges { cursor node { id gpu region } } }',
  'rentals(first: 100) { nodes { id invoice { id total { amount } } listing { id provider { name } } } }',
  'events(first: 100) { nodes { id data } }',
]

const aliases: Attack = {
  name: '12 and 20 aliases of heavy lists',
  run: async (target) => {
    const answers = await times(target.much(200, heavy.length * 2), 8, (index) => {
      const count = index % 2 === 0 ? 12 : 20
      const field = heavy[index % heavy.length]
      return ask(
        target,
        `{ ${Array.from({ length: count }, (_, alias) => `a${alias}: ${field}`).join('\n')} }`,
        {},
        { token: target.providerToken },
      )
    })
    return [
      ...onlyCodes(answers, ['QUERY_TOO_COSTLY', 'ANSWER_TOO_LARGE', undefined]),
      ...noLongerThan(answers, answerBytesMax),
    ]
  },
}

const typeFields =
  'name kind description fields(includeDeprecated: true) { name description args { name description } }'

const schema: Attack = {
  name: 'the whole schema 400 times, and more of it than an answer may have',
  run: async (target) => {
    const standard = getIntrospectionQuery({ specifiedByUrl: true, directiveIsRepeatable: true })
    const much = `{ __schema { ${Array.from({ length: 20 }, (_, at) => `a${at}: types { ${typeFields} }`).join(' ')} } }`
    const answers = await times(target.much(400, 8), 8, (index) => ask(target, index % 2 === 0 ? standard : much))
    const given = answers.filter(({ data }) => data?.__schema).length
    return [
      ...onlyCodes(answers, [undefined, 'QUERY_TOO_COSTLY', 'TOO_MANY_REQUESTS']),
      ...unless(given > 0, 'the standard query for the schema is never answered'),
      ...noLongerThan(answers, answerBytesMax),
    ]
  },
}

/** Operations of which a directive leaves nothing. */
const leftOut: Attack = {
  name: 'operations of which directives leave nothing',
  run: async (target) => {
    const documents = ['query', 'mutation', 'subscription'].flatMap((kind) =>
      ['@skip(if: true)', '@include(if: false)'].map((directive) => `${kind} { ... ${directive} { __typename } }`),
    )
    const answers = await times(target.much(600, 12), 8, (index) =>
      ask(target, documents[index % documents.length] ?? ''),
    )
    return onlyCodes(answers, [undefined, 'INPUT_INVALID', 'GRAPHQL_VALIDATION_FAILED', 'OPERATION_RESOLUTION_FAILURE'])
  },
}

export const documentAttacks: readonly Attack[] = [
  ...[different, ofFields, hardest, long, variables, aliases],
  ...[schema, leftOut],
]
