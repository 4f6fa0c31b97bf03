// What a client may send that no client sends: each is answered with a code, and is nothing for the log.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { echoCharactersMax } from './shortened.ts'

let world: GatewayWorld
beforeAll(async () => {
  world = await createGatewayWorld({ times: { requestMsMax: 30_000, answerMsMax: 1_000 } })
})
afterAll(() => world.close())

/** Sends a request as it is written, and resolves to the answer. */
const send = async (
  lines: readonly string[],
  body = '',
): Promise<{ readonly status: number; readonly body: string }> => {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`, 'Content-Type: application/json']
  socket.write(`${[...lines, ...length, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
  let answer = ''
  socket.on('data', (data) => {
    answer += data
  })
  await once(socket, 'close')
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]), body: answer.slice(answer.indexOf('\r\n\r\n') + 4) }
}

const expectRefused = async (lines: readonly string[], body?: string) => {
  const answer = await send(lines, body)
  expect(answer).toMatchObject({ status: 400, body: expect.stringContaining('"code":"INPUT_INVALID"') })
  expect(answer.body.length).toBeLessThan(echoCharactersMax + 1_000)
  expect(world.logged).toEqual([])
}

test.each(['a b', '[::1', 'a:b:c', 'x@y:99999', 'a/../../x?y#z', 'a\\b', 'a:99999', '%', `${'a'.repeat(5_000)}@`])(
  'a Host that is none is refused: case %#',
  (host) => expectRefused(['GET /graphql?query={head} HTTP/1.1', `Host: ${host}`]),
)

test('parameters that are no JSON are refused', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom('variables', 'extensions'),
      fc.constantFrom('[', '{', 'x', '"', '{"a":}', '['.repeat(5_000)),
      (name, text) =>
        expectRefused([`GET /graphql?query={head}&${name}=${encodeURIComponent(text)} HTTP/1.1`, 'Host: localhost']),
    ),
    { numRuns: 12 },
  ))

test.each(['[]', '"x"', '7', 'null', 'true', '[{"query":"{ head }"}]'])(
  'a body that is no object is refused: %s',
  (body) => expectRefused(['POST /graphql HTTP/1.1', 'Host: localhost'], body),
)

test.each(['/%zz', '/graphql%', `/${'%zz'.repeat(3_000)}`])('a path that is none is refused: case %#', (path) =>
  expectRefused([`GET ${path} HTTP/1.1`, 'Host: localhost']),
)

test('names like __proto__ are ignored as other unknown names are', async () => {
  const body =
    '{"query":"{ head }","variables":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}'
  const answer = await send(['POST /graphql HTTP/1.1', 'Host: localhost'], body)
  expect(JSON.parse(answer.body)).toEqual({ data: { head: expect.any(String) } })
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('an expectation that nothing here meets ends the connection', async () => {
  const { status } = await send(['POST /graphql HTTP/1.1', 'Host: localhost', 'Expect: foo'], '{}')
  expect(status).toBe(417)
})

test('an answer that is not taken in time is cut off, at each route', async () => {
  const page = await (await fetch(`${world.url}/graphql`, { headers: { accept: 'text/html' } })).text()
  const script = /src="([^"]+\.js)"/.exec(page)?.[1] ?? ''
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
  socket.write(`GET ${script} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(12))
  await once(socket, 'readable')
  const inUse = async () =>
    Number(/in_use\{kind="requests"\} (\d+)/.exec(await (await fetch(`${world.url}/metrics`)).text())?.[1])
  while ((await inUse()) > 1) await new Promise((resolve) => setTimeout(resolve, 200))
  socket.destroy()
}, 20_000)
