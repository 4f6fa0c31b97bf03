// docs/events.md and the JSON Schemas beside it, made from the event schemas and from what the golden story shows.
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

/** The JSON Schema of each event type in its current version, by file. */
export const schemaFiles = (): ReadonlyMap<string, string> =>
  new Map(
    types.map(([type, entry]) => {
      const { $schema, ...shape } = shapeOf(entry) as StoredShape & { readonly $schema: string }
      const schema = { $schema, title: `${type}, version ${entry.version}`, ...shape }
      return [schemaFileOf(type, entry.version), `${JSON.stringify(schema, null, 2)}\n`]
    }),
  )

/** What the id in a stream's name is: `wallet` and `deposit` are what the chain knows it by, the rest are UUIDs. */
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

/** What stands beside the data of every event. */
export const envelope: { readonly [Field in Exclude<keyof StoredEvent, 'data' | 'metadata'>]: string } = {
  id: 'UUID, the identity of the fact. It is derived from the command and the place among its events, so a repetition has the same',
  type: 'what happened, in the past tense; one of those below',
  stream: 'the name of an aggregate, a dash, and an id: see above',
  revision: 'place in its stream, from 0 without gaps',
  position: 'place in the whole log: opaque, comparable as text with positions of the same store',
}

export const metadata: { readonly [Field in keyof Metadata]: string } = {
  commandId: 'UUID of the command that caused it. The same command again is answered with the same events',
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

const fieldRows = (shape: StoredShape, path = ''): string[] =>
  Object.entries(shape.properties ?? {}).flatMap(([name, child]) => {
    const cells = [`\`${path}${name}\``, typeWords(child), unitWords(child), personalWords(child), child.description]
    return [`| ${cells.join(' | ')} |`, ...(child.items?.properties ? fieldRows(child.items, `${path}${name}[].`) : [])]
  })

const listed = (items: Iterable<string>): string => [...items].map((item) => `\`${item}\``).join(', ')
const withEnd = (sentence: string): string => `- ${sentence}.`

const followerWords = ({ name, commands, compensations }: StartedSaga): string =>
  `Starts the process \`${name}\`: ${listed(commands)}${compensations.length > 0 ? `; refused on the way: ${listed(compensations)}` : ''}`

const factLines = ({ sentBy, sagas, timers, scheduler, causes, projections }: EventEntry): string[] =>
  [
    `Said by ${[...sentBy].map(([command, senders]) => `\`${command}\` (${[...senders].toSorted().join(', ')})`).join(', ')}`,
    ...sagas.map(followerWords),
    ...(timers.length > 0 ? [`Sets the timers ${listed(timers)}`] : []),
    ...(scheduler ? ['Makes the scheduler look at the jobs that it is about'] : []),
    ...(causes.size > 0 ? [`From it come ${listed([...causes].toSorted())}`] : []),
    `Changes ${projections.length > 0 ? `rows of ${listed(projections.toSorted())}` : 'no read model'}`,
  ].map(withEnd)

const eventLines = (type: string, entry: Entry, facts: EventEntry): string[] => {
  const shape = shapeOf(entry)
  const rows = fieldRows(shape)
  const table = ['| field | type | unit | personal | |', '|---|---|---|---|---|', ...rows, '']
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

/** The whole page. */
export const eventsPage = (facts: ReadonlyMap<string, EventEntry>): string =>
  [
    '# Every event',
    '',
    'The log is a list of facts, and this is the list of their kinds: what each says, in which units, who says it and what',
    'follows. Fields, units, personal data and sentences come from the event schemas (`domain/rental.events.ts` and its',
    'neighbours). Who says an event and what follows is found out by telling a story with the real commands and processes',
    '(`testing/golden/catalogue.ts`), and the story sends every command that there is. `UPDATE=1 npm test -- docs/events.spec.ts`',
    'writes the page and the JSON Schemas in `docs/events/`; the same test fails when they differ.',
    '',
    'Stored events never change. A changed shape is a new version with a step up from the one before, so whoever reads the',
    "log through the platform meets the current version. An older version's JSON Schema stays where it is. What was stored",
    "under today's versions is kept in `domain/golden-log/events.jsonl`: a small history with every type in every version,",
    'which `testing/golden/log.spec.ts` replays, and which is good for trying things on.',
    '',
    '## Streams',
    '',
    'Each event stands in the stream of one aggregate, whose name is `<aggregate>-<id>`.',
    '',
    '| stream | is about | its id | personal | events |',
    '|---|---|---|---|---|',
    ...names.map((name) => {
      const { id, about } = streams[name]
      const events = entriesOf(name).map(([type]) => `[${type}](#${type.toLowerCase()})`)
      return `| \`${name}-<id>\` | ${about} | ${idKinds[id].words} | ${isPersonal(name)} | ${events.join(', ')} |`
    }),
    '',
    '## What every event carries',
    '',
    '| | |',
    '|---|---|',
    ...Object.entries(envelope).map(([name, words]) => `| \`${name}\` | ${words} |`),
    '| `data` | the fields of its type, below |',
    ...Object.entries(metadata).map(([name, words]) => `| \`metadata.${name}\` | ${words} |`),
    '',
    '## Money',
    '',
    'Money is `{ amount, asset }`. The amount is a whole number of minor units, as decimal text, since a JSON number would',
    'lose cents. The name of the asset ends in its decimals: 2650000 of `USDC/6` are 2.65 USDC. A posting is',
    '`{ debit, credit, amount }`: the same money leaves one account of the chart (`domain/ledger.ts`) and reaches another, so',
    'the sum per asset is zero at every position of the log.',
    '',
    '## Personal data',
    '',
    'Personal is what names a person, leads to one, or was written by one: wallet addresses (a pseudonym, but one that the',
    'chain ties to all that its owner does there), accounts of the chart that hold one, the ids of deposits and',
    'transactions, which the chain shows beside their payer, the name of a provider, and of a job its command, files,',
    'environment and messages. Also personal are the names of some streams (see above) and in the metadata',
    `${listed(personalMetadata.map((name) => `metadata.${name}`))}. Ids of rentals, listings and jobs are hashes and name nobody.`,
    'What is left without personal fields is not anonymous: amounts and times of deposits can be found on the chain again.',
    '`domain/catalogue.ts` tells programs the same: `personalFieldsOf`, `withoutPersonalFields`, `personalStreams`.',
    '',
    ...names.flatMap((name) => [
      `## ${name[0]?.toUpperCase()}${name.slice(1)}`,
      '',
      ...entriesOf(name).flatMap(([type, entry]) => eventLines(type, entry, factsOf(type, facts))),
    ]),
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
