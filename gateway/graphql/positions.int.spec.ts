import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { newId } from '../../commands/ids.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { subscriptionErrorCode } from './subscriptions.testing.ts'

let world: GatewayWorld
const waited: (readonly string[] | undefined)[] = []
let distance: number | undefined

beforeAll(async () => {
  world = await createGatewayWorld({
    services: ({ waitFor, store }) => ({
      waitFor: (position, timeoutMs, names) => {
        waited.push(names)
        return waitFor(position, timeoutMs, names)
      },
      store: { ...store, distance: (from, to) => distance ?? store.distance(from, to) },
    }),
  })
})
afterAll(() => world.close())
beforeEach(() => {
  waited.length = 0
  distance = undefined
})

const guest = (query: string, variables?: Record<string, unknown>) => world.ask(query, variables)
const headPosition = async () => (await guest('{ head }')).data.head as string
const codesOf = ({ errors }: { errors?: readonly { extensions: Record<string, unknown> }[] }) =>
  errors?.map(({ extensions }) => extensions.code)

describe('a position', () => {
  test('beyond the end of the log is refused at once, wherever a client may give one', async () => {
    const listing = newId()
    await world.market.list(listing, 8)
    const head = await headPosition()
    const ahead = head.slice(0, -3) + String(Number(head.slice(-3)) + 500).padStart(3, '0')
    const began = performance.now()
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, () =>
        guest('query ($at: Position) { listings(atLeast: $at) { nodes { id } } }', { at: ahead }),
      ),
      guest('query ($at: Position, $id: ID!) { listing(id: $id, asOf: { position: $at }) { id } }', {
        at: ahead,
        id: listing,
      }),
    ])
    for (const answer of answers) expect(codesOf(answer)).toEqual(['POSITION_AHEAD'])
    expect(performance.now() - began).toBeLessThan(4_000)
    const subscription = 'subscription ($at: Position) { listingChanged(after: $at) { position } }'
    expect(await subscriptionErrorCode(world.socket(), subscription, { at: ahead })).toBe('POSITION_AHEAD')
    expect(
      codesOf(await guest('query ($at: Position) { listings(atLeast: $at) { nodes { id } } }', { at: head })),
    ).toBe(undefined)
  })

  test('from which too much has happened is none to resume after, for a guest', async () => {
    const after = await headPosition()
    await world.market.list(newId(), 8)
    const query = 'subscription ($after: Position) { listingChanged(after: $after) { event } }'
    distance = 1e9
    expect(await subscriptionErrorCode(world.socket(), query, { after })).toBe('POSITION_TOO_OLD')
    distance = undefined
    const client = world.socket()
    const resumed = client.iterate<{ listingChanged: { event: string } }>({ query, variables: { after } })
    expect((await resumed.next()).value?.data).toEqual({ listingChanged: { event: 'GpusListed' } })
    await resumed.return?.()
    await client.dispose()
  })
})

test('a query waits for the read models that it reads, and a mutation for those of its answer', async () => {
  const head = await headPosition()
  await guest('query ($at: Position) { listings(atLeast: $at) { nodes { id } } }', { at: head })
  const provider = await world.newUser()
  await provider.ask(
    `mutation { registerProvider(input: { name: "Acme" }) { ... on RegisterProviderSuccess { provider { id } } } }`,
  )
  expect(waited).toEqual([['listings'], ['providers']])
})
