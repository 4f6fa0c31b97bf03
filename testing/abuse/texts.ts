// Long and awkward texts in everything that takes one.
import { worstTexts } from '../worst-texts.ts'
import { type Attack, ask, noLongerThan, onlyCodes, times } from './attack.ts'

const echoBytesMax = 20_000
const refused = ['INPUT_INVALID', 'AMOUNT_INVALID', 'POSITION_FOREIGN', 'GPU_UNKNOWN', 'LISTING_UNKNOWN', undefined]

const byFilter = 'query ($filter: ListingFilter) { listings(filter: $filter) { nodes { id } } }'

const zerosInAmounts: Attack = {
  name: 'amounts of 160,000 zeros',
  run: async (target) => {
    const zeros = '0'.repeat(160_000)
    const amounts = [`1.${zeros}1`, `${zeros}1`, `1${zeros}`, `0.${zeros}`, `-${zeros}`, `1e${zeros}`]
    const answers = await times(target.much(120, 12), 4, (index) =>
      ask(target, byFilter, { filter: { maxPricePerGpuHour: amounts[index % amounts.length] } }),
    )
    return [...onlyCodes(answers, ['INPUT_INVALID', 'AMOUNT_INVALID']), ...noLongerThan(answers, echoBytesMax)]
  },
}

const readers: readonly ((text: string) => readonly [query: string, variables: object])[] = [
  (text) => [byFilter, { filter: { gpu: text } }],
  (text) => [byFilter, { filter: { region: text } }],
  (text) => [byFilter, { filter: { maxPricePerGpuHour: text } }],
  (text) => ['query ($after: String) { listings(after: $after) { nodes { id } } }', { after: text }],
  (text) => ['query ($at: Position) { listings(atLeast: $at) { nodes { id } } }', { at: text }],
  (text) => ['query ($id: ID!, $at: DateTime) { listing(id: $id, asOf: { time: $at }) { id } }', { id: 'a', at: text }],
  (text) => ['query ($id: ID!) { listing(id: $id) { id } }', { id: text }],
]

const worst: Attack = {
  name: 'worst texts in filters, cursors, positions and dates',
  run: async (target) => {
    const texts = worstTexts(target.much(60_000, 20_000))
    const inputs = texts.flatMap((text) => readers.map((reader) => reader(text)))
    const answers = await times(target.much(inputs.length, 150), 8, (index) =>
      ask(target, ...(inputs[(index * 7) % inputs.length] ?? (['{ head }', {}] as const))),
    )
    return [...onlyCodes(answers, refused), ...noLongerThan(answers, echoBytesMax)]
  },
}

const long = 'x'.repeat(900_000)
const echoes: readonly (readonly [query: string, variables: object])[] = [
  ['query ($id: ID!) { listing(id: $id) { id } }', { id: long }],
  ['query ($status: RentalStatus) { rentals(status: $status) { nodes { id } } }', { status: long }],
  ['query ($first: Int) { listings(first: $first) { nodes { id } } }', { first: long }],
  ['query ($filter: ListingFilter) { listings(filter: $filter) { nodes { id } } }', { filter: { [long]: 1 } }],
  ['query ($at: DateTime) { listing(id: "a", asOf: { time: $at }) { id } }', { at: long }],
  [
    'mutation ($input: SignInInput!) { signIn(input: $input) { ... on Error { code message details { value } } } }',
    { input: { message: long, signature: '0x' } },
  ],
  [`{ ${long} }`, {}],
  [`{ ${'a'.repeat(19_000)} }`, {}],
  [`{ listings(${'b'.repeat(19_000)}: 1) { nodes { id } } }`, {}],
]

const echoesOfErrors: Attack = {
  name: 'errors that could echo 900 kB',
  run: async (target) => {
    const answers = await times(target.much(180, echoes.length), 4, (index) =>
      ask(target, ...(echoes[index % echoes.length] ?? (['{ head }', {}] as const))),
    )
    const internal = answers.filter(({ code }) => code === 'INTERNAL').length
    return [
      ...(internal === 0 ? [] : [`${internal} were answered with INTERNAL`]),
      ...noLongerThan(answers, echoBytesMax),
    ]
  },
}

export const textAttacks: readonly Attack[] = [zerosInAmounts, worst, echoesOfErrors]
