import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { userActor } from '../../commands/actor.ts'
import { requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import type { StoredEvent } from '../../infra/event-store/port.ts'
import { eventually } from '../../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { countSubscriptions } from '../../testing/worlds/gateway-streams.ts'
import { subscriptionErrorCode } from './subscriptions.testing.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
type Shown = { type: string; stream: string; position: string; data: Record<string, unknown>; withheld: string[] }

const accounts = {
  operator: privateKeyToAccount(generatePrivateKey()),
  analyst: privateKeyToAccount(generatePrivateKey()),
}
const open = { count: 0 }
let world: GatewayWorld
let [operator, analyst, renter, provider, stranger]: User[] = []
let rental = ''
let job = ''
let log: StoredEvent[] = []

const rent = async () => {
  const listing = newId()
  await world.market.list(listing, 8, undefined, provider?.wallet)
  const { data } = await defined(renter).ask(
    'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } ... on Error { code } } }',
    { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: newId() } },
  )
  return String(data.rentGpu.id)
}
/** Returns a user that is made before all tests. */
const defined = (user: User | undefined): User => {
  if (!user) throw new Error('there is no such user')
  return user
}

beforeAll(async () => {
  world = await createGatewayWorld({
    services: ({ store }) => ({
      store: countSubscriptions(store, open),
      privileged: {
        operators: [accounts.operator.address.toLowerCase()],
        auditors: [],
        analysts: [accounts.analyst.address.toLowerCase()],
      },
    }),
  })
  operator = await world.newUser(accounts.operator)
  analyst = await world.newUser(accounts.analyst)
  ;[renter, provider, stranger] = [await world.newUser(), await world.newUser(), await world.newUser()]
  await world.market.deposit(renter.wallet, 100_000_000n)
  rental = await rent()
  job = newId()
  const command = {
    type: 'SubmitJob',
    rental,
    renter: renter.wallet,
    command: ['train', '--secret'],
    files: [],
    environment: { TOKEN: 'secret' },
    timeoutSeconds: 60,
    cpuCores: 1,
    memoryMib: 64,
    submittedAt: world.market.now(),
  } as const
  const envelope = requestEnvelope(newId(), userActor(renter.wallet), world.market.now())
  await world.market.commands.execute('job', job, command, envelope)
  log = await Array.fromAsync(world.store.readAll())
})
afterAll(() => world.close())
beforeEach(() => eventually('no subscription is open', () => open.count === 0))

const query = `query ($filter: EventFilter, $first: Int, $after: String, $last: Int, $before: String, $atLeast: Position) {
  events(filter: $filter, first: $first, after: $after, last: $last, before: $before, atLeast: $atLeast) {
    nodes { id type schemaVersion stream revision position time actor commandId correlationId causationId data withheld }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`
const list = async (user: User | undefined, variables: object = {}) => {
  const { data, errors } = await defined(user).ask(query, {
    first: 100,
    atLeast: await world.store.head(),
    ...variables,
  })
  if (errors?.[0]) return errors[0].extensions.code as string
  return data.events as { nodes: Shown[]; pageInfo: Record<string, unknown> }
}
const nodes = async (user: User | undefined, variables: object = {}) => {
  const answer = await list(user, variables)
  if (typeof answer === 'string') throw new Error(answer)
  return answer.nodes
}
const streamsIn = (found: readonly { stream: string }[]) => new Set(found.map(({ stream }) => stream))

describe('access', () => {
  test('an operator sees all events as they are', async () => {
    expect(await nodes(operator)).toEqual(
      log.map(({ id, type, stream, revision, position, data, metadata }) => ({
        ...{ id, type, stream, revision: String(revision), position, data, withheld: [], ...metadata },
      })),
    )
  })

  test('an analyst sees all events without the free text of others', async () => {
    const seen = await nodes(analyst)
    expect(seen.map(({ position }) => position)).toEqual(log.map(({ position }) => position))
    const submitted = seen.find(({ type }) => type === 'JobSubmitted')
    expect(submitted).toMatchObject({ data: { renter: renter?.wallet }, withheld: ['command', 'files', 'environment'] })
    expect(JSON.stringify(seen)).not.toContain('secret')
  })

  test('a renter sees their own account, payment, rental and job, with all fields', async () => {
    const seen = await nodes(renter)
    const payment = log.find(({ type }) => type === 'DepositObserved')?.stream
    const own = [`account-${renter?.wallet}`, payment, `rental-${rental}`, `job-${job}`]
    expect(streamsIn(seen)).toEqual(new Set(own))
    expect(seen.map(({ position }) => position)).toEqual(
      log.filter(({ stream }) => own.includes(stream)).map(({ position }) => position),
    )
    expect(seen.find(({ type }) => type === 'JobSubmitted')?.data).toMatchObject({ environment: { TOKEN: 'secret' } })
  })

  test('a provider sees their own listing, and a rental from when they became its provider', async () => {
    const seen = await nodes(provider)
    expect(seen.map(({ type }) => type)).toEqual(['GpusListed', 'CapacityReserved', 'RentalActivated'])
  })

  test('a wallet without events sees none, and a guest is refused', async () => {
    expect(await nodes(stranger)).toEqual([])
    expect(await nodes(stranger, { filter: { stream: `rental-${rental}` } })).toEqual([])
    expect((await world.ask(query)).errors?.[0]?.extensions.code).toBe('NOT_SIGNED_IN')
  })

  test('a wallet with a privilege can ask for its own events alone', async () => {
    expect(await nodes(operator, { filter: { mine: true } })).toEqual([])
    expect(await nodes(renter, { filter: { mine: false } })).toEqual(await nodes(renter))
  })

  test('the viewer shows its own privilege', async () => {
    const privilegeOf = async (user: User | undefined) =>
      (await defined(user).ask('{ viewer { privilege } }')).data.viewer
    expect([await privilegeOf(operator), await privilegeOf(analyst), await privilegeOf(renter)]).toEqual(
      ['operator', 'analyst', 'none'].map((privilege) => ({ privilege })),
    )
  })
})

describe('the filter', () => {
  test('selects by type, stream, request and time', async () => {
    const typesOf = async (filter: object) => (await nodes(operator, { filter })).map(({ type }) => type)
    const { metadata } = log.find(({ type }) => type === 'RentalRequested') as StoredEvent
    const rented = log.filter((event) => event.metadata.correlationId === metadata.correlationId)
    expect(await typesOf({ types: ['RentalActivated', 'GpusListed'] })).toEqual(['GpusListed', 'RentalActivated'])
    expect(await typesOf({ stream: `rental-${rental}` })).toEqual(['RentalRequested', 'RentalActivated'])
    expect(await typesOf({ correlation: metadata.correlationId })).toEqual(rented.map(({ type }) => type))
    const now = world.market.now()
    expect(await typesOf({ from: now })).toHaveLength(log.length)
    expect(await typesOf({ to: now })).toEqual([])
  })

  test('goes with pages in both directions', async () => {
    const all = log.map(({ position }) => position)
    const forwards: string[] = []
    const backwards: string[] = []
    for (let after: unknown; ; ) {
      const page = await list(operator, { first: 3, after })
      if (typeof page === 'string') throw new Error(page)
      forwards.push(...page.nodes.map(({ position }) => position))
      after = page.pageInfo.endCursor
      if (!page.pageInfo.hasNextPage) break
    }
    for (let before: unknown; ; ) {
      const page = await list(operator, { first: null, last: 3, before })
      if (typeof page === 'string') throw new Error(page)
      backwards.unshift(...page.nodes.map(({ position }) => position))
      before = page.pageInfo.startCursor
      if (!page.pageInfo.hasPreviousPage) break
    }
    expect(forwards).toEqual(all)
    expect(backwards).toEqual(all)
  })

  test.each([
    ['two ends at once', { first: 1, last: 1 }, 'INPUT_INVALID'],
    ['too many', { first: 101 }, 'INPUT_INVALID'],
    ['a cursor of something else', { after: 'x' }, 'INPUT_INVALID'],
    ['a year that no calendar has', { filter: { from: '0000-01-01T00:00:00Z' } }, 'INPUT_INVALID'],
  ])('is refused for %s', async (_, variables, code) => expect(await list(operator, variables)).toBe(code))
})

describe('a subscription', () => {
  const document = `subscription ($filter: EventFilter, $after: Position) {
    events(filter: $filter, after: $after) { type stream position data withheld } }`
  const follow = (user: User | undefined, variables: Record<string, unknown> = {}) => {
    const client = world.socket({ token: defined(user).token })
    const events = client.iterate<{ events: Shown }>({ query: document, variables })
    return {
      take: async (count: number) => {
        const taken: Shown[] = []
        while (taken.length < count) {
          const { done, value } = await events.next()
          if (done || !value.data) throw new Error(JSON.stringify(value))
          taken.push(value.data.events)
        }
        return taken
      },
      leave: async () => {
        await events.return?.()
        await client.dispose()
      },
    }
  }
  const typesOf = (events: readonly { type: string }[]) => events.map(({ type }) => type)

  test('replays the events after a position, then goes on with new events, and can be resumed', async () => {
    const events = follow(operator, { after: world.store.start })
    const replayed = await events.take(log.length)
    expect(replayed.map(({ position }) => position)).toEqual(log.map(({ position }) => position))
    const head = await world.store.head()
    const live = events.take(3)
    await world.market.deposit('0xsomeone', 5n)
    expect(typesOf(await live)).toEqual(['DepositObserved', 'DepositFinalized', 'DepositCredited'])
    await events.leave()
    const resumed = follow(operator, { after: head, filter: { types: ['DepositFinalized'] } })
    expect(typesOf(await resumed.take(1))).toEqual(['DepositFinalized'])
    await resumed.leave()
  })

  test('shows a renter their rental that did not exist when it began, and no events of others', async () => {
    const own = follow(renter, { after: await world.store.head() })
    const theirs = follow(provider, {
      after: await world.store.head(),
      filter: { types: ['RentalActivated', 'RentalEnded'] },
    })
    await world.market.deposit('0xsomeone', 5n)
    const id = await rent()
    world.market.pass(60)
    await defined(renter).ask('mutation ($id: ID!) { endRental(input: { rental: $id }) { __typename } }', { id })
    const received = await own.take(8)
    expect(streamsIn(received)).toEqual(new Set([`rental-${id}`, `account-${renter?.wallet}`]))
    expect(typesOf(received)[0]).toBe('RentalRequested')
    expect((await theirs.take(2)).map(({ type, stream }) => ({ type, stream }))).toEqual([
      { type: 'RentalActivated', stream: `rental-${id}` },
      { type: 'RentalEnded', stream: `rental-${id}` },
    ])
    await own.leave()
    await theirs.leave()
  })

  test('withholds the free text of others from an analyst', async () => {
    const events = follow(analyst, { after: world.store.start, filter: { types: ['JobSubmitted'] } })
    const [submitted] = await events.take(1)
    expect(submitted?.withheld).toEqual(['command', 'files', 'environment'])
    expect(JSON.stringify(submitted)).not.toContain('secret')
    await events.leave()
  })

  test('is refused to a guest, and after a position of another store', async () => {
    const codeOf = (connection: Record<string, unknown>, after?: string) =>
      subscriptionErrorCode(world.socket(connection), document, { after })
    expect(await codeOf({})).toBe('NOT_SIGNED_IN')
    expect(await codeOf({ token: defined(renter).token }, 'elsewhere')).toBe('POSITION_FOREIGN')
  })
})
