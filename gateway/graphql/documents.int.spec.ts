import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Client } from 'graphql-ws'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { documentCharactersMax, namesakesMax } from './documents.ts'

type Answer = {
  readonly data?: unknown
  readonly errors?: readonly { readonly extensions?: Record<string, unknown> }[]
}

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

const overHttp = (query: string): Promise<Answer> => world.ask(query)
const overWebSocket = async (query: string): Promise<Answer> => {
  try {
    for await (const answer of socket.iterate({ query })) return answer as Answer
    return {}
  } catch (errors) {
    return { errors: errors as NonNullable<Answer['errors']> }
  }
}

/** Returns a document of exactly this many characters; a comment counts. */
const documentOf = (characters: number, start = '{ head } #') => start.padEnd(characters, 'x')

describe.each([
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
])('over %s', (_transport, ask) => {
  test('a document of the greatest length is answered', async () =>
    expect(await ask(documentOf(documentCharactersMax))).toMatchObject({ data: { head: expect.any(String) } }))

  test('a longer one is refused, before it is parsed', async () => {
    const { errors } = await ask(documentOf(documentCharactersMax + 1, '{ this is no document'))
    expect(errors?.map(({ extensions }) => extensions)).toMatchObject([
      { code: 'INPUT_INVALID', details: { document: '20001 characters' } },
    ])
  })
})

const documents = 2_200
const growthMebibytesMax = 48

/** Documents that differ: heavy in text, in tokens, in errors of the syntax, in errors of the schema, and too long. */
const kinds: readonly ((index: number) => string)[] = [
  (index) => documentOf(documentCharactersMax, `{ head } #${index}`),
  (index) => `{ ${'head '.repeat(1_900)} } #${index}`,
  (index) => `{ ${'head '.repeat(namesakesMax)} } #${index}`,
  (index) => documentOf(documentCharactersMax, `{ head(x: "${index}`),
  (index) => `{ ${Array.from({ length: 400 }, (_, field) => `unknown${index}x${field}`).join(' ')} }`,
  (index) => documentOf(1_000_000, `{ head } #${index}`),
]

test('2,200 different documents leave the memory flat', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const send = async (from: number, count: number) => {
    for (let at = from; at < from + count; at += kinds.length)
      await Promise.all(kinds.map((kind, offset) => overHttp(kind(at + offset))))
    collect()
    return process.memoryUsage().heapUsed / 2 ** 20
  }
  const full = await send(0, documents / 2)
  expect((await send(documents / 2, documents / 2)) - full).toBeLessThan(growthMebibytesMax)
}, 240_000)
