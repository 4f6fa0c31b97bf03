// docs/events.md and the JSON Schemas beside it, derived from the event schemas and from the golden story.
import { type AggregateName, aggregates } from '../domain/aggregates.ts'
import { personalMetadata, personalStreams, type StoredShape, shapeOf } from '../domain/catalogue.ts'
import type { EventSchema } from '../domain/events.ts'
import type { Metadata, StoredEvent } from '../infra/event-store/port.ts'
import type { EventEntry, StartedSaga } from '../testing/golden/catalogue.ts'

type Entry = EventSchema<unknown>
const entriesOf = (name: AggregateName): [string, Entry][] => Object.entries<Entry>(aggregates[name].schemas)

export const names = Object.keys(aggregates) as AggregateName[]
export const types = names.flatMap(entriesOf)

export const schemaFileOf = (type: string, version: number): string => `${type}.v${version}.schema.json`

/** Returns the JSON Schema of each event type in its current version, by file. */
export const schemaFiles = (): ReadonlyMap<string, string> =>
  new Map(
    types.map(([type, entry]) => {
      const { $schema, ...shape } = shapeOf(entry) as StoredShape & { readonly $schema: string }
      const schema = { $schema, title: `${type}, version ${entry.version}`, ...shape }
      return [schemaFileOf(type, entry.version), `${JSON.stringify(schema, null, 2)}\n`]
    }),
  )

/** Kinds of ids in the names of streams: `wallet` and `deposit` are identifiers of the chain, the rest are UUIDs. */
export const idKinds = {
  wallet: { pattern: /^0x[0-9a-f]{40}$/, words: 'a wallet address, lower case' },
  deposit: { pattern: /^0x[0-9a-f]{64}$/, words: 'the id that the contract gave the deposit' },
  uuid: { pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, words: 'a UUID' },
} as const

export const streams: {
  readonly [Name in AggregateName]: { readonly id: keyof typeof idKinds; readonly about: string }
} = {
  account: { id: 'wallet', about: "one person's money with the platform" },
  job: { id: 'uuid', about: 'one program that a renter runs' },
  listing: { id: 'uuid', about: 'one offer of GPUs' },
  payment: { id: 'deposit', about: 'one deposit on a chain' },
  provider: { id: 'wallet', about: 'one person who lists GPUs' },
  rental: { id: 'uuid', about: "one renter's lease of GPUs of one listing" },
}

/** The fields of every event besides its data. */
export const envelope: { readonly [Field in Exclude<keyof StoredEvent, 'data' | 'metadata'>]: string } = {
  id: 'UUID of the event. It is derived from the command and the place among its events, so a repetition has the same',
  type: 'what happened, in the past tense; one of those below',
  stream: 'the name of an aggregate, a dash, and an id: see above',
  revision: 'place in its stream, from 0 without gaps',
  position: 'place in the whole log: opaque, comparable as text with positions of the same store',
}

export const metadata: { readonly [Field in keyof Metadata]: string } = {
  commandId: 'UUID of the command that caused it. The same command again returns the same events',
  correlationId: 'shared by all that follows from one request: a rental, its money, its jobs, its invoice',
  causationId: 'the event, or the command, directly before',
  actor: '`user:` and a wallet address, or `system:` and a part of the platform',
  time: 'when the command was given; ISO 8601, UTC',
  schemaVersion: 'version of the shape of `data`, from 1',
}

const isMoney = ({ properties }: StoredShape) =>
  properties !== undefined && Object.keys(properties).join() === 'amount,asset'
const isPosting = ({ properties }: StoredShape) =>
  properties !== undefined && Object.keys(properties).join() === 'debit,credit,amount'

const typeWords = (shape: StoredShape): string => {
  if (isMoney(shape)) return '[money](#money)'
  if (isPosting(shape)) return '[posting](#money)'
  if (shape.items) return `list of ${shape.items.properties ? 'objects' : typeWords(shape.items)}`
  if (shape.additionalProperties) return 'text by name'
  if (shape.enum) return shape.enum.map((value) => `\`${value}\``).join(' or ')
  if (shape.pattern?.includes('\\d+')) return 'whole number, as text'
  if (shape.type === 'integer') return 'whole number'
  return shape.type === 'string' ? 'text' : (shape.type ?? '')
}

const unitWords = (shape: StoredShape): string =>
  isMoney(shape) || isPosting(shape)
    ? 'minor units of its asset'
    : (shape.unit ?? '').replace(/docs\/(errors\.md)/, '[$1]($1)')

const personalWords = (shape: StoredShape): string => {
  if (shape.personal) return 'yes'
  return isPosting(shape) ? 'both accounts' : ''
}

/** Returns the limit of a field, of what a list or record has in it, and of an amount. */
const limitWords = (shape: StoredShape): string => {
  const inner = shape.items && !shape.items.properties ? shape.items : shape.additionalProperties
  const each = typeof inner === 'object' ? inner.limit : undefined
  const amount = (shape.properties?.amount?.properties?.amount ?? shape.properties?.amount)?.limit
  return [shape.limit, each && `each ${each}`, amount].filter(Boolean).join('; ')
}

const fieldRows = (shape: StoredShape, path = ''): string[] =>
  Object.entries(shape.properties ?? {}).flatMap(([name, child]) => {
    const cells = [
      `\`${path}${name}\``,
      typeWords(child),
      unitWords(child),
      personalWords(child),
      limitWords(child),
      child.description,
    ]
    return [`| ${cells.join(' | ')} |`, ...(child.items?.properties ? fieldRows(child.items, `${path}${name}[].`) : [])]
  })

const listed = (items: Iterable<string>): string => [...items].map((item) => `\`${item}\``).join(', ')
const withEnd = (sentence: string): string => `- ${sentence}.`

const followerWords = ({ name, commands, compensations }: StartedSaga): string =>
  `Starts the saga \`${name}\`, which sends ${listed(commands)}${compensations.length > 0 ? `; after a refusal: ${listed(compensations)}` : ''}`

const factLines = ({ sentBy, sagas, timers, scheduler, causes, projections }: EventEntry): string[] =>
  [
    `Results from ${[...sentBy].map(([command, senders]) => `\`${command}\` (sent by ${[...senders].toSorted().join(', ')})`).join(', ')}`,
    ...sagas.map(followerWords),
    ...(timers.length > 0 ? [`Sets the timers ${listed(timers)}`] : []),
    ...(scheduler ? ['Makes the scheduler check the jobs that it concerns'] : []),
    ...(causes.size > 0 ? [`Causes ${listed([...causes].toSorted())}`] : []),
    `Changes ${projections.length > 0 ? `rows of ${listed(projections.toSorted())}` : 'no read model'}`,
  ].map(withEnd)

const eventLines = (type: string, entry: Entry, facts: EventEntry): string[] => {
  const shape = shapeOf(entry)
  const rows = fieldRows(shape)
  const table = [
    '| field | type | unit | personal | limit for new events | |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ]
  return [
    `### ${type}`,
    '',
    `${shape.description} [Version ${entry.version}](events/${schemaFileOf(type, entry.version)}).`,
    '',
    ...(rows.length > 0 ? table : []),
    ...factLines(facts),
    '',
  ]
}

const isPersonal = (name: AggregateName) => (personalStreams.includes(name) ? 'yes' : '')
const factsOf = (type: string, facts: ReadonlyMap<string, EventEntry>): EventEntry => {
  const known = facts.get(type)
  if (!known) throw new Error(`Nothing is known of ${type}`)
  return known
}

/** Returns the whole page. */
export const eventsPage = (facts: ReadonlyMap<string, EventEntry>): string =>
  [
    '# Every event',
    '',
    'This page lists every event type: its fields with their units, the commands that cause it, and the commands that follow.',
    'Fields, units, personal data and descriptions come from the event schemas (`domain/rental.events.ts` and its neighbours).',
    'Causes and consequences come from a story that runs with the real commands and processes',
    '(`testing/golden/catalogue.ts`). The story sends every command. `UPDATE=1 npm test -- docs/events.spec.ts` writes the',
    'page and the JSON Schemas in `docs/events/`; the same test fails when they differ.',
    '',
    'Stored events never change. A changed shape is a new version with an upcast from the previous one, so a program that reads',
    "the log through the platform gets the current version. An older version's JSON Schema stays in its place.",
    '`domain/golden-log/events.jsonl` holds a small history with every type in every version, as it was stored.',
    '`testing/golden/log.spec.ts` replays it, and you can use it for experiments.',
    '',
    '## Streams',
    '',
    'Each event belongs to the stream of one aggregate. The name of the stream is `<aggregate>-<id>`.',
    '',
    '| stream | is about | its id | personal | events |',
    '|---|---|---|---|---|',
    ...names.map((name) => {
      const { id, about } = streams[name]
      const events = entriesOf(name).map(([type]) => `[${type}](#${type.toLowerCase()})`)
      return `| \`${name}-<id>\` | ${about} | ${idKinds[id].words} | ${isPersonal(name)} | ${events.join(', ')} |`
    }),
    '',
    '## Fields of every event',
    '',
    '| | |',
    '|---|---|',
    ...Object.entries(envelope).map(([name, words]) => `| \`${name}\` | ${words} |`),
    '| `data` | the fields of its type, below |',
    ...Object.entries(metadata).map(([name, words]) => `| \`metadata.${name}\` | ${words} |`),
    '',
    '## Money',
    '',
    'Money is `{ amount, asset }`. The amount is a whole number of minor units, as decimal text: a JSON number would lose',
    'cents. The name of the asset ends in its decimals: 2650000 of `USDC/6` are 2.65 USDC. A posting is',
    '`{ debit, credit, amount }`: the same amount leaves one account of the chart (`domain/ledger.ts`) and reaches another. So',
    'the sum per asset is zero at every position of the log.',
    '',
    '## Limits',
    '',
    'The limit of a field holds for new events only. It is checked where a command is decided and its events are encoded',
    '(`domain/limits.ts`), and never where a stored event is read. So a limit may change without a new version, and older',
    'events may exceed it. Characters are UTF-16 code units. Amounts are bounded by what a chain can count, prices so',
    'that the most GPUs for the longest time stay below that.',
    '',
    '## Personal data',
    '',
    'A field is personal when it names a person, leads to one, or was written by one:',
    '',
    '- wallet addresses (a pseudonym, but the chain links it to everything that its owner does there), and accounts of the',
    '  chart that have an address in their name',
    '- ids of deposits and transactions, because the chain shows them with their payer',
    '- the name of a provider',
    '- the command, files, environment and messages of a job',
    `- the names of some streams (see above), and ${listed(personalMetadata.map((name) => `metadata.${name}`))}`,
    '',
    'Ids of rentals, listings and jobs are hashes and name no person. Events without their personal fields are still not',
    'anonymous: amounts and times of deposits can be found on the chain. `domain/catalogue.ts` gives programs the same lists:',
    '`personalFieldsOf`, `withoutPersonalFields`, `personalStreams`.',
    '',
    ...names.flatMap((name) => [
      `## ${name[0]?.toUpperCase()}${name.slice(1)}`,
      '',
      ...entriesOf(name).flatMap(([type, entry]) => eventLines(type, entry, factsOf(type, facts))),
    ]),
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
