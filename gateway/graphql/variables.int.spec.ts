import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { GraphQLInputObjectType, GraphQLList, getNamedType, getNullableType } from 'graphql'
import type { Client } from 'graphql-ws'
import { WebSocket } from 'ws'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { jsonDepthMax } from '../request-checks.ts'
import { itemsMaxOf } from './input-limits.ts'
import { inputPlaces } from './input-walk.testing.ts'
import { variableDepthMax, variableKeysMax, variableValuesMax } from './variables.ts'

type Errors = readonly { readonly message: string; readonly extensions?: Record<string, unknown> }[]

let world: GatewayWorld
let socket: Client
let ask: Awaited<ReturnType<GatewayWorld['newUser']>>['ask']
beforeAll(async () => {
  world = await createGatewayWorld()
  socket = world.socket()
  ask = (await world.newUser()).ask
})
afterAll(async () => {
  await socket.dispose()
  await world.close()
})

const overHttp = async (query: string, variables: object): Promise<Errors> =>
  (await world.ask(query, variables)).errors ?? []
const overWebSocket = async (query: string, variables: object): Promise<Errors> => {
  const errors: Errors[number][] = []
  try {
    const given = variables as Record<string, unknown>
    for await (const answer of socket.iterate({ query, variables: given })) errors.push(...(answer.errors ?? []))
  } catch (error) {
    return error as Errors
  }
  return errors
}

const places = inputPlaces()
const objects = places.filter(({ input }) => getNamedType(input.type) instanceof GraphQLInputObjectType)
const lists = places.filter(({ input }) => getNullableType(input.type) instanceof GraphQLList)

const wide = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, index]))
const deep = (depth: number) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)
/** Values of a request that hold too much, whatever is asked for. */
const tooMuch = fc.oneof(
  fc.integer({ min: variableKeysMax + 1, max: 50_000 }).map(wide),
  fc.integer({ min: variableDepthMax + 1, max: jsonDepthMax - 6 }).map(deep),
  fc
    .tuple(fc.constantFrom<unknown>(0, '', null, {}, []), fc.integer({ min: variableValuesMax + 1, max: 50_000 }))
    .map(([item, count]) => Array.from({ length: count }, () => item)),
)

describe.each([
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
])('over %s', (_transport, send) => {
  test('variables that hold too much are refused, at every place, declared or not', () =>
    fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), tooMuch, fc.boolean(), async (place, value, isDeclared) => {
        const variables = isDeclared ? place.variablesOf(value) : { ...place.variablesOf('a'), other: value }
        const errors = await send(place.operation, variables)
        expect(errors.map(({ extensions }) => extensions)).toEqual([
          expect.objectContaining({
            code: 'INPUT_INVALID',
            details: { variables: expect.any(String), takes: expect.stringContaining('at most') },
          }),
        ])
      }),
      { numRuns: 25 },
    ))

  test('of many wrong values a few are named, each in a short text', () =>
    fc.assert(
      fc.asyncProperty(fc.constantFrom(...objects), fc.integer({ min: 1, max: 190 }), async (place, count) => {
        const errors = await send(place.operation, place.variablesOf(wide(count)))
        expect(errors.length).toBeGreaterThan(0)
        expect(errors.length).toBeLessThan(10)
        for (const { message, extensions } of errors) {
          expect(message.length).toBeLessThan(2_000)
          expect(extensions).toMatchObject({ code: 'BAD_USER_INPUT' })
        }
      }),
      { numRuns: 25 },
    ))
})

test('what is nested deeper is refused before it is looked at, and nothing is logged', async () => {
  const query = 'query ($filter: EventFilter) { events(filter: $filter) { nodes { id } } }'
  const payload = `{"query":"${query}","variables":{"filter":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body: payload })
  expect(await answer.text()).toContain('INPUT_INVALID')
  const connection = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  await once(connection, 'open')
  connection.send('{"type":"connection_init"}')
  await once(connection, 'message')
  connection.send(`{"type":"subscribe","id":"a","payload":${payload}}`)
  expect(await once(connection, 'close')).toEqual([4400, expect.anything()])
  expect(world.logged).toEqual([])
})

test.each(lists.map((place) => [place.name, place] as const))('the list %s has a limit', async (_, place) => {
  const itemsMax = itemsMaxOf(place.input) ?? Number.POSITIVE_INFINITY
  expect(place.input.description).toContain(`at most ${itemsMax.toLocaleString('en-US')} items`)
  const [item] = place.least as readonly unknown[]
  const { data, errors } = await ask(
    place.operation,
    place.variablesOf(Array.from({ length: itemsMax + 1 }, () => item)),
  )
  const [answer] = Object.values(data ?? {}) as ({ readonly code?: string } | null)[]
  expect(answer?.code ?? errors?.[0]?.extensions.code).toBe('INPUT_INVALID')
})
