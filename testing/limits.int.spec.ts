// The largest and the smallest value of every field of every event, from its encoding to the log, the read models, the
// answers of the gateway and an export, and back: what the domain accepts, nothing behind it refuses or changes.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { getNamedType, isLeafType, isObjectType } from 'graphql'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { exportLog } from '../cli/export.ts'
import {
  type AggregateName,
  aggregates,
  decodeDomainEvent,
  type EventOf,
  eventSchemas,
  streamOf,
} from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { encodeNewEvent } from '../domain/events.ts'
import { chart } from '../domain/ledger.ts'
import { type Extreme, extremeOf } from '../domain/limits.testing.ts'
import { int32Max, limitOf } from '../domain/limits.ts'
import { schema } from '../gateway/graphql/schema.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { Json, StoredEvent } from '../infra/event-store/port.ts'
import { allProjections } from '../projections/all.ts'
import { createSpecLog, foldStream } from '../projections/engine/log.testing.ts'
import { openDuckdb } from './servers/duckdb.ts'
import { createGatewayWorld, type GatewayWorld } from './worlds/gateway.ts'

const extremes: readonly (readonly [string, Extreme])[] = [
  ['smallest', 'smallest'],
  ['largest-wide', { largest: 'wide' }],
  ['largest-escaped', { largest: 'escaped' }],
  ['largest-pairs', { largest: 'pairs' }],
]

/** Histories in which each type of event finds the row that it changes. */
const histories = {
  account: [
    ['DepositCredited', 'EarningsCredited', 'FundsHeld', 'HoldRefused', 'HoldCaptured'],
    ['DepositCredited', 'FundsHeld', 'HoldReleased'],
  ],
  job: [
    ['JobSubmitted', 'JobStarted', 'JobInterrupted', 'JobStarted', 'JobProgressed', 'JobFailed'],
    ['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'],
    ['JobSubmitted', 'JobStopRequested', 'JobStopped'],
  ],
  listing: [
    ['GpusListed', 'CapacityReserved', 'CapacityRefused', 'CapacityFreed', 'PriceChanged'],
    ['GpusListed', 'ListingWithdrawn'],
  ],
  payment: [['DepositObserved', 'DepositVanished', 'DepositObserved', 'DepositFinalized']],
  provider: [['ProviderRegistered', 'ProviderRenamed']],
  rental: [
    ['RentalRequested', 'RentalRejected'],
    ['RentalRequested', 'RentalActivated', 'UsageMetered', 'RentalEnded', 'InvoiceIssued'],
    ['RentalRequested', 'RentalActivated', 'RentalJobAdmitted', 'RentalEndRequested', 'RentalJobClosed', 'RentalEnded'],
  ],
} as const satisfies { readonly [Name in AggregateName]: readonly (readonly EventOf<Name>['type'][])[] }

type Fields = Readonly<Record<string, unknown>>
type Written = { readonly name: AggregateName; readonly id: string; readonly event: { readonly type: string } & Fields }

const personalWallets = new Set(['user', 'renter', 'provider', 'wallet'])

/** Returns the event with every field at its extreme, except the wallets: they are the viewer's, to whom it is shown. */
const eventOf = (type: string, extreme: Extreme, wallet: string): Written['event'] => {
  const fields = extremeOf(eventSchemas[type]?.schema ?? raise(type), extreme) as Fields
  const own = Object.keys(fields).filter((name) => personalWallets.has(name))
  const posting = fields.posting && { posting: { ...(fields.posting as object), debit: chart.available(wallet) } }
  return { type, ...fields, ...Object.fromEntries(own.map((name) => [name, wallet])), ...(posting as object) }
}
const raise = (type: string): never => {
  throw new Error(`There is no ${type}`)
}

const idsOf = (name: AggregateName, extreme: string, index: number, wallet: string): string => {
  if (name === 'account' || name === 'provider') return wallet
  return `${extreme}-${index}-`.padEnd(limitOf(aggregates.rental.commandFields.listing)?.charactersMax ?? 0, 'i')
}

const allWritten = (wallet: string): Written[] =>
  extremes.flatMap(([label, extreme]) =>
    Object.entries(histories).flatMap(([name, rows]) =>
      rows.flatMap((types, index) =>
        types.map((type) => ({
          name: name as AggregateName,
          id: idsOf(name as AggregateName, label, index, wallet),
          event: eventOf(type, extreme, wallet),
        })),
      ),
    ),
  )

const encodedOf = (event: Written['event']) => {
  const encoded = encodeNewEvent(eventSchemas, event)
  if (isRefusal(encoded)) throw new Error(JSON.stringify(encoded))
  return encoded
}
const decodedOf = ({ type, data, metadata }: Pick<StoredEvent, 'type' | 'data' | 'metadata'>) =>
  decodeDomainEvent({ type, version: metadata.schemaVersion, data })

const writeAll = async (log: ReturnType<typeof createSpecLog>, written: readonly Written[]) => {
  for (const { name, id, event } of written) await log.write(name, id, event as never)
}

/** Returns the selection of all fields of an object type that take no argument, objects among them one level deep. */
const selectionOf = (typeName: string, depth = 2): string => {
  const type = schema.getType(typeName)
  if (!isObjectType(type)) throw new Error(`${typeName} is no object type`)
  const parts = Object.values(type.getFields()).flatMap((field) => {
    const named = getNamedType(field.type)
    if (field.args.length > 0) return []
    if (isLeafType(named)) return [field.name]
    return isObjectType(named) && depth > 0 ? [`${field.name} ${selectionOf(named.name, depth - 1)}`] : []
  })
  return `{ ${parts.join(' ')} }`
}

/** Returns a value as the gateway shows it: integers without bound as text or as a number. */
const shown = (value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value !== 'object' || value === null) return typeof value === 'number' ? String(value) : value
  if ('decimal' in value && 'amount' in value && 'asset' in value)
    return shown({ amount: value.amount, asset: value.asset })
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]))
}

let world: GatewayWorld
let viewer: Awaited<ReturnType<GatewayWorld['newUser']>>
let written: readonly Written[]

beforeAll(async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  const wallet = account.address.toLowerCase()
  world = await createGatewayWorld({
    services: () => ({ privileged: { operators: [wallet], auditors: [], analysts: [] } }),
  })
  viewer = await world.newUser(account)
  written = allWritten(wallet)
  await writeAll(createSpecLog(world.store), written)
})
afterAll(() => world.close())

test('every type of event is written', () =>
  expect([...new Set(written.map(({ event }) => event.type))].toSorted()).toEqual(Object.keys(eventSchemas).toSorted()))

describe('the log', () => {
  test('of PostgreSQL gives back what was encoded', async () => {
    const stored = await Array.fromAsync(world.store.readAll())
    expect(stored.map(decodedOf)).toEqual(written.map(({ event }) => event))
  })
  test('in memory gives it back too, and every read model folds it', async () => {
    const store = createMemoryEventStore()
    await writeAll(createSpecLog(store), written)
    const stored = await Array.fromAsync(store.readAll())
    expect(stored.map(decodedOf)).toEqual(written.map(({ event }) => event))
    const byStream = Map.groupBy(stored, ({ stream }) => stream)
    for (const projection of allProjections)
      for (const events of byStream.values()) expect(() => foldStream(projection, events)).not.toThrow()
  })
})

describe('the read models', () => {
  test('reach the end, and park nothing', async () => {
    const { data } = await viewer.ask('{ head }')
    expect((await viewer.ask(`{ viewer(atLeast: "${data.head}") { id } }`)).errors).toBeUndefined()
    const { data: about } = await viewer.ask('{ projections { name failure parked { stream error } } }')
    for (const { name, failure, parked } of about.projections)
      expect({ name, failure, parked }).toEqual({ name, failure: null, parked: [] })
  })
})

/** The node of each aggregate, and the field of the query that finds it by its id. */
const nodes = { job: 'Job', listing: 'Listing', payment: 'Payment', provider: 'Provider', rental: 'Rental' } as const

const findNode = async (name: keyof typeof nodes, id: string) => {
  const answer = await viewer.ask(`query ($id: ID!) { ${name}(id: $id) ${selectionOf(nodes[name])} }`, { id })
  expect(answer.errors).toBeUndefined()
  return answer.data[name]
}

describe('the gateway', () => {
  const cases = extremes.flatMap(([label]) =>
    (Object.keys(nodes) as (keyof typeof nodes)[]).flatMap((name) =>
      histories[name].map((_, index) => [name, index, label] as const),
    ),
  )
  test.each(cases)('shows %s %d with its %s values', async (name, index, label) => {
    const id = idsOf(name, label, index, viewer.wallet)
    const node = await findNode(name, id)
    // A provider has one row for all extremes: the last one is shown.
    if (name === 'provider') return
    const fields = Object.assign(
      {},
      ...written.flatMap((each) => (each.id === id && each.name === name ? [each.event] : [])),
    ) as Fields
    // What a field refers to does not exist here; the last message is that of another event.
    const others = ['type', 'rental', 'listing', 'provider', 'percent', 'message', 'reason']
    const compared = Object.entries(fields).flatMap(([field, value]) =>
      others.includes(field) || node[field] === undefined ? [] : [[field, value, node[field]] as const],
    )
    expect(compared.length).toBeGreaterThan(3)
    for (const [field, value, there] of compared) {
      const expected =
        field === 'environment'
          ? Object.entries(value as object).map(([key, text]) => ({ name: key, value: text }))
          : value
      expect([field, shown(there)]).toEqual([field, shown(expected)])
    }
  })

  test.each(['jobs', 'listings', 'payments', 'rentals', 'invoices', 'ledgerEntries'])(
    'lists %s page by page, to the end',
    async (list) => {
      const seen: string[] = []
      for (let after: string | null = null; ; ) {
        const page = await viewer.ask(
          `query ($after: String) { ${list}(first: 1, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }`,
          { after },
        )
        expect(page.errors).toBeUndefined()
        seen.push(...page.data[list].nodes.map(({ id }: { id: string }) => id))
        after = page.data[list].pageInfo.endCursor
        if (!page.data[list].pageInfo.hasNextPage) break
      }
      expect(new Set(seen).size).toBe(seen.length)
      expect(seen.length).toBeGreaterThanOrEqual(extremes.length)
    },
  )

  test('shows balances that are sums of the largest amounts', async () => {
    const { data, errors } = await viewer.ask(
      '{ account { balances { asset available { amount } held { amount } } } ledgerSums { sum { amount } } }',
    )
    expect(errors).toBeUndefined()
    const digits = data.account.balances.map(
      ({ available }: { available: { amount: string } }) => available.amount.length,
    )
    expect(Math.max(...digits)).toBeGreaterThan(77)
    for (const { sum } of data.ledgerSums) expect(sum.amount).toBe('0')
  })

  test('shows the data of each event as it was stored', async () => {
    for (const stream of new Set(written.map(({ name, id }) => streamOf(name, id)))) {
      const answer = await viewer.ask(
        'query ($stream: String!) { events(first: 100, filter: { stream: $stream }) { nodes { type data } } }',
        { stream },
      )
      expect(answer.errors).toBeUndefined()
      const expected = written.flatMap(({ name, id, event }) =>
        streamOf(name, id) === stream ? [encodedOf(event)] : [],
      )
      expect(answer.data.events.nodes).toEqual(expected.map(({ type, data }) => ({ type, data })))
    }
  })
})

describe('an export', () => {
  test.each(['jsonl', 'parquet'] as const)('as %s holds every event, and gives it back', async (format) => {
    const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-limits-'))
    try {
      const out = join(folder, 'out')
      await exportLog({
        out,
        format,
        pseudonymKey: undefined,
        store: world.store,
        signal: new AbortController().signal,
      })
      const rows = await (format === 'jsonl' ? readLines(out) : readParquet(out))
      const events = rows.map(({ type, schema_version, data }) =>
        decodeDomainEvent({ type, version: Number(schema_version), data: JSON.parse(data) }),
      )
      expect(events).toEqual(written.map(({ event }) => event))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

type ExportedRow = {
  readonly position: string
  readonly type: string
  readonly schema_version: number | string
  readonly data: string
}

const readLines = async (out: string): Promise<ExportedRow[]> => {
  const paths = (await readdir(out, { recursive: true })).filter((path) => path.endsWith('.jsonl'))
  const texts = await Promise.all(paths.map((path) => readFile(join(out, path), 'utf8')))
  const rows = texts.flatMap((text) => text.split('\n').filter(Boolean)).map((line) => JSON.parse(line) as ExportedRow)
  return rows.toSorted((a, b) => (a.position < b.position ? -1 : 1))
}
const readParquet = async (out: string): Promise<ExportedRow[]> => {
  const duckdb = await openDuckdb()
  try {
    return await duckdb.ask<ExportedRow>(
      `select position, type, schema_version, data from read_parquet('${out}/day=*/*.parquet') order by position`,
    )
  } finally {
    duckdb.close()
  }
}

describe('a client that exceeds a limit', () => {
  let provider: typeof viewer
  const listing = { gpu: 'H100', gpuCount: 1, vramMib: 1, vcpus: 1, memoryMib: 1, region: 'eu', pricePerGpuHour: '1' }
  const list = async (key: string, input: object) =>
    (
      await provider.ask(
        'mutation ($input: ListGpusInput!) { listGpus(input: $input) { ... on ListGpusSuccess { listing { gpu region } } ... on Refused { code details { name value } } } }',
        { input: { ...listing, ...input, idempotencyKey: key } },
      )
    ).data.listGpus as {
      readonly code?: string
      readonly details?: readonly { readonly name: string; readonly value: string }[]
      readonly listing?: Json
    }

  beforeAll(async () => {
    provider = await world.newUser()
    const { data } = await provider.ask('mutation { registerProvider(input: { name: "Acme" }) { __typename } }')
    expect(data.registerProvider).toEqual({ __typename: 'RegisterProviderSuccess' })
  })

  test.each([
    ['a name of 5,000 letters', 'gpu', { gpu: 'x'.repeat(5_000) }],
    ['a region of 201 letters', 'region', { region: 'x'.repeat(201) }],
    ['a price of 30 digits', 'pricePerGpuHour', { pricePerGpuHour: '9'.repeat(30) }],
    ['a price of 160,000 zeros', 'pricePerGpuHour', { pricePerGpuHour: `1.${'0'.repeat(160_000)}1` }],
  ])('is refused for %s, with the field and what it takes', async (title, field, input) => {
    const answer = await list(title, input)
    expect(answer.code).toBe('INPUT_INVALID')
    expect(answer.details?.map(({ name }) => name)).toEqual([field, 'takes'])
    for (const { value } of answer.details ?? []) expect(value.length).toBeLessThan(100)
  })
  test('can list what is at the limit, and everybody still finds the next offer', async () => {
    const most = {
      gpu: '\u6f22'.repeat(200),
      region: '\u{1f5a5}'.repeat(100),
      vcpus: int32Max,
      memoryMib: int32Max,
      vramMib: int32Max,
      gpuCount: int32Max,
    }
    expect(await list('most', { ...most, pricePerGpuHour: `1${'0'.repeat(21)}` })).toEqual({
      listing: { gpu: most.gpu, region: most.region },
    })
    expect(await list('next', {})).toEqual({ listing: { gpu: 'H100', region: 'eu' } })
  })
})
