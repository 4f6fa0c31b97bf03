import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Client } from 'graphql-ws'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { namesakesMax, selectionsMax } from './graphql/documents.ts'
import { limits } from './graphql/limits.ts'

type Errors = readonly { readonly message: string; readonly extensions?: Record<string, unknown> }[]

let world: GatewayWorld
let socket: Client

beforeAll(async () => {
  world = await createGatewayWorld()
  socket = world.socket()
})
afterAll(async () => {
  await socket.dispose()
  await world.close()
})

/** Resolves to the errors of one operation, the same for both transports. */
const overHttp = async (query: string, variables: object = {}): Promise<Errors> =>
  (await world.ask(query, variables)).errors ?? []
const overWebSocket = async (query: string, variables: Record<string, unknown> = {}): Promise<Errors> => {
  try {
    const errors: Errors[number][] = []
    for await (const answer of socket.iterate({ query, variables })) errors.push(...(answer.errors ?? []))
    return errors
  } catch (error) {
    return error as Errors
  }
}

const nested = `{ rentals { nodes { ${'invoice { rental { '.repeat(6)} id ${'} } '.repeat(6)} } } }`
const aliases = `{ ${Array.from({ length: limits.aliasesMax + 1 }, (_, index) => `a${index}: head`).join(' ')} }`
const tokens = `{ ${'head '.repeat(limits.tokensMax)} }`
const fields = `{ ${Array.from({ length: selectionsMax + 1 }, (_, index) => `field${index}`).join(' ')} }`
const namesakes = `{ ${'head '.repeat(namesakesMax + 1)} }`
const fragments = `{ ... { ${'head '.repeat(namesakesMax)} } ...all } fragment all on Query { head }`
const nodes = `{ id gpu gpuCount freeGpus vramMib vcpus memoryMib region status listedAt updatedAt position
  provider { id name } pricePerGpuHour { amount asset decimal } }`
const page = `listings(first: 100) { nodes ${nodes} edges { cursor node ${nodes} } }`
const costly = `{ ${Array.from({ length: 20 }, (_, index) => `a${index}: ${page}`).join(' ')} }`
const large = `{ ${Array.from({ length: 12 }, (_, index) => `a${index}: jobs(first: 100) { nodes { log { text } } }`).join(' ')} }`
const longAlias = `{ ${'a'.repeat(limits.aliasCharactersMax + 1)}: head }`
const subscription = `subscription { ${Array.from({ length: limits.aliasesMax + 1 }, (_, index) => `a${index}: listingChanged { event }`).join(' ')} }`

describe.each([
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
])('over %s', (_transport, ask) => {
  test.each([
    ['too deep', nested, 'depth limit'],
    ['too many aliases', aliases, 'Aliases limit'],
    ['too many tokens', tokens, `more that ${limits.tokensMax} tokens`],
    ['too many fields', fields, 'The input is not valid.'],
    ['too many fields with one name', namesakes, 'The input is not valid.'],
    ['too many fields with one name in fragments', fragments, 'The input is not valid.'],
    ['too costly', costly, 'The query asks for too much at once.'],
    ['too large', large, 'The query asks for too much at once.'],
    ['too long an alias', longAlias, 'The input is not valid.'],
    ['a subscription with too many aliases', subscription, 'Aliases limit'],
  ])('%s is refused before anything is read', async (_what, query, message) => {
    const before = world.asked.length
    const errors = await ask(query)
    expect(errors.map((error) => error.message).join()).toContain(message)
    for (const { extensions } of errors) expect(extensions).toHaveProperty('code')
    expect(world.asked.length).toBe(before)
  })

  test('all fields of the largest node, for 100 nodes, are not refused', async () => {
    const money = '{ amount asset decimal }'
    const errors = await ask(`{ rentals(first: 100) { edges { cursor node {
      id status renter gpu gpuCount seconds runSeconds refusal endReason requestedAt startedAt endsAt endedAt settledAt position
      maxPricePerGpuHour ${money} pricePerGpuHour ${money} held ${money} charged ${money} released ${money}
      listing { id gpu region pricePerGpuHour ${money} } provider { id name }
      invoice { id total ${money} lines { firstEventId seconds amount ${money} } } } } pageInfo { hasNextPage endCursor } } }`)
    expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['NOT_SIGNED_IN'])
  })

  test('text that no database can store is refused', async () => {
    const errors = await ask('query ($id: ID!) { listing(id: $id) { id } }', { id: 'a\0b' })
    expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['INPUT_INVALID'])
  })

  test('a failure keeps its code, and what is shown is the same', async () => {
    const [error] = await ask('{ listing(id: "unknown") { id } }')
    expect(error?.extensions).toMatchObject({ code: 'LISTING_UNKNOWN', details: { listing: 'unknown' } })
  })
})
