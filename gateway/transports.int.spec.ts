// The same request has the same outcome on each transport.
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { jsonBytesMax, jsonDepthMax } from './request-checks.ts'
import { bodyBytesMax } from './server.ts'

let world: GatewayWorld
beforeAll(async () => {
  world = await createGatewayWorld()
})
afterAll(() => world.close())

type Errors = readonly {
  readonly message: string
  readonly extensions?: { readonly code?: string; readonly hint?: string; readonly details?: object }
}[]
/** The codes of the answer, each with its hint, its text and its details; none where it has no error. */
type Outcome = readonly (readonly [code: string | undefined, hint: string | undefined, ...unknown[]])[]
const outcomeOf = (errors: Errors = []): Outcome =>
  errors.map(({ message, extensions }) => [extensions?.code, extensions?.hint, message, extensions?.details])

const overHttp = async (body: string): Promise<Outcome> => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body })
  return outcomeOf((await answer.json()).errors)
}

/** Resolves to the outcome of a request in a message; where the socket is closed, the reason has the code. */
const overWebSocket = async (body: string): Promise<Outcome | string> => {
  const socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  try {
    await once(socket, 'open')
    socket.send('{"type":"connection_init"}')
    await once(socket, 'message')
    const answered = once(socket, 'message').then(([data]) => {
      const { payload } = JSON.parse(String(data))
      return outcomeOf(Array.isArray(payload) ? payload : payload?.errors)
    })
    const closed = once(socket, 'close').then(([, reason]) => String(reason))
    socket.send(`{"id":"a","type":"subscribe","payload":${body}}`)
    return await Promise.race([answered, closed])
  } finally {
    socket.terminate()
  }
}

const expectSame = async (body: string): Promise<Outcome> => {
  const [http, webSocket] = [await overHttp(body), await overWebSocket(body)]
  if (typeof webSocket === 'string') expect(http.map(([code]) => `${code}: `)).toEqual([webSocket.slice(0, 15)])
  else expect(webSocket).toEqual(http)
  for (const [code, hint] of http) expect([typeof code, typeof hint]).toEqual(['string', 'string'])
  return http
}

/** Returns a request whose one variable is this JSON. */
const withValue = (json: string) => `{"query":"{ head }","variables":{"a":${json}}}`
const room = bodyBytesMax - 1_000

describe('values', () => {
  test('of a text count for nothing, whatever is in it', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(',', '[', '{', '}', '\\"', '\\\\', ':', '\\n,'),
        fc.integer({ min: 1, max: room }),
        async (piece, length) => {
          const text = piece.repeat(Math.floor(length / piece.length))
          expect(await expectSame(withValue(`"${text}"`))).toEqual([])
        },
      ),
      {
        numRuns: 15,
        examples: [
          [',', room],
          ['[', room],
          ['\\"', room],
        ],
      },
    ))

  test('that take too much memory are refused, and not told to wait', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom('0', '[]', '{}', '""', '{"a":0}'),
        fc.integer({ min: jsonBytesMax / 64, max: room / 2 }),
        async (item, count) => {
          const many = Math.min(count, Math.floor(room / (item.length + 1)))
          const outcome = await expectSame(withValue(`[${Array(many).fill(item).join()}]`))
          expect(outcome.map(([code]) => code)).toEqual(['INPUT_INVALID'])
        },
      ),
      { numRuns: 10 },
    ))

  test('are nested as deep as they may be, and no deeper', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 * jsonDepthMax }), async (depth) => {
        const outcome = await expectSame(
          `{"query":"{ head }","extensions":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`,
        )
        expect(outcome.map(([code]) => code)).toEqual(depth + 2 > jsonDepthMax ? ['INPUT_INVALID'] : [])
      }),
      { examples: [[jsonDepthMax - 2], [jsonDepthMax - 1]] },
    ))
})

describe('a request', () => {
  const parameter = fc.oneof(fc.json(), fc.constantFrom('null', '""', '"a"', '5', '[]', '{}', '{"a":1}'))
  const document = fc.constantFrom(
    ...[
      '"{ head }"',
      '"query a { head }"',
      '"query a { head } query b { head }"',
      '"{"',
      '""',
      '" "',
      '5',
      'null',
      '{}',
    ],
    ...['"{ heads }"', '"fragment a on Query { head }"', '"subscription { x }"', '"{ head @x }"', '["{ head }"]'],
    '"query ($a: ID!) { listing(id: $a) { id } }"',
  )
  test('is refused with the same code and hint, whatever its parameters are', () =>
    fc.assert(
      fc.asyncProperty(
        fc.option(document),
        fc.array(
          fc.tuple(fc.constantFrom('operationName', 'variables', 'extensions', 'zz', '__proto__', 'query'), parameter),
          { maxLength: 3 },
        ),
        async (query, more) => {
          const all = [...more, ...(query === null ? [] : [['query', query] as const])]
          await expectSame(`{${all.map(([name, value]) => `"${name}":${value}`).join()}}`)
        },
      ),
      {
        numRuns: 60,
        examples: [
          [null, []],
          ['"{ head }"', [['operationName', '"b"']]],
          ['"{ head }"', [['operationName', '""']]],
          ['"{ head }"', [['operationName', '5']]],
          ['"{ head }"', [['zz', '5']]],
          ['"query a { head } query b { head }"', []],
          ['"fragment a on Query { head }"', []],
        ],
      },
    ))

  test.each(['null', '5', '[]', '"x"', 'true'])('that is no object is refused: %s', async (body) => {
    expect((await expectSame(body)).map(([code]) => code)).toEqual(['INPUT_INVALID'])
  })
})

test.each(['null', '5', '{', '[]', '{}', '{"type":"zz"}', '{"type":"subscribe"}', '{"type":"subscribe","id":5}'])(
  'a message that is none closes the socket, and the reason has a code and says what is taken: %s',
  async (message) => {
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    await once(socket, 'open')
    socket.send(message)
    const [code, reason] = await once(socket, 'close')
    expect([code, String(reason)]).toEqual([4400, expect.stringMatching(/^INPUT_INVALID: takes /)])
  },
)
