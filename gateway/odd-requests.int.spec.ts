// What a client may send that no client sends: each is answered with a code, and is nothing for the log.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type ErrorCode, errors } from '../domain/errors.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { echoCharactersMax } from './shortened.ts'

let world: GatewayWorld
/** What the log waits for before it answers. */
let stuck = Promise.resolve()
beforeAll(async () => {
  world = await createGatewayWorld({
    times: { requestMsMax: 30_000, answerMsMax: 1_000 },
    services: ({ store }) => ({ store: { ...store, head: () => stuck.then(store.head) } }),
  })
})
afterAll(() => world.close())

type Answer = { readonly status: number; readonly head: string; readonly body: string }

/** Sends a request as it is written, and resolves to the answer. */
const send = async (lines: readonly string[], body = ''): Promise<Answer> => {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`, 'Content-Type: application/json']
  socket.write(`${[...lines, ...length, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
  let answer = ''
  socket.on('data', (data) => {
    answer += data
  })
  socket.setTimeout(20_000, () => socket.destroy(new Error(`no end: ${lines.join('; ').slice(0, 300)}`)))
  await once(socket, 'close')
  const end = answer.indexOf('\r\n\r\n')
  const status = Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1])
  return { status, head: answer.slice(0, end), body: answer.slice(end + 4) }
}

const expectRefused = async (lines: readonly string[], body?: string) => {
  const answer = await send(lines, body)
  expect(answer).toMatchObject({ status: 400, body: expect.stringContaining('"code":"INPUT_INVALID"') })
  expect(answer.body.length).toBeLessThan(echoCharactersMax + 1_000)
  expectCode(answer)
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

/** Expects that an answer which refuses has a code of the registry, its hint, and what is taken instead, and that pages of
 *  other origins may read it. */
const expectCode = (answer: Answer) => {
  expect(answer.status).toBeGreaterThanOrEqual(200)
  if (answer.status < 400 && !answer.body.startsWith('{"errors"')) return
  expect(answer.head.match(/^access-control-allow-origin: \*$/gim)).toHaveLength(1)
  const [{ extensions }] = JSON.parse(answer.body).errors
  expect(errors[extensions.code as ErrorCode].hint).toBe(extensions.hint)
  if (extensions.code === 'INPUT_INVALID') expect(Object.keys(extensions.details)).not.toEqual([])
}
const local = 'Host: localhost'
const json = 'Content-Type: application/json'
const head = '/graphql?query=%7Bhead%7D'
const upgrade = [local, 'Upgrade: websocket', 'Connection: Upgrade']

test.each<[status: number, code: string | undefined, lines: readonly string[], body?: string]>([
  [404, 'ROUTE_UNKNOWN', ['GET /nothing HTTP/1.1', local]],
  [404, 'ROUTE_UNKNOWN', ['PUT /graphql HTTP/1.1', local]],
  [404, 'ROUTE_UNKNOWN', ['DELETE /health HTTP/1.1', local]],
  [404, 'ROUTE_UNKNOWN', ['TRACE /graphql HTTP/1.1', local]],
  [404, 'ROUTE_UNKNOWN', ['PROPFIND / HTTP/1.1', local]],
  [404, 'ROUTE_UNKNOWN', ['CONNECT a:1 HTTP/1.1', local]],
  [414, 'INPUT_INVALID', [`GET /graphql/page/${'a'.repeat(900)} HTTP/1.1`, local]],
  [204, undefined, ['OPTIONS * HTTP/1.1', local]],
  [200, undefined, [`GET http://elsewhere.example${head} HTTP/1.1`, local]],
  [200, undefined, [`GET HTTP://[${head} HTTP/1.1`, local]],
  [404, 'ROUTE_UNKNOWN', ['GET http://elsewhere.example/nothing HTTP/1.1', local]],
  [405, 'INPUT_INVALID', ['GET /graphql?query=mutation%7Ba%7D HTTP/1.1', local]],
  [400, 'INPUT_INVALID', ['GET /graphql HTTP/1.1', local]],
  [400, 'INPUT_INVALID', ['GET /graphql?query= HTTP/1.1', local]],
  [400, 'INPUT_INVALID', [`GET ${head}&query=%7Bhead%7D HTTP/1.1`, local]],
  [400, 'INPUT_INVALID', [`GET ${head}&operationName=a&operationName=b HTTP/1.1`, local]],
  [400, 'OPERATION_RESOLUTION_FAILURE', [`GET ${head}&operationName=b HTTP/1.1`, local]],
  [400, 'INPUT_INVALID', [`GET ${head} HTTP/1.1`, 'X: no host']],
  [200, undefined, [`GET ${head} HTTP/1.0`]],
  [406, 'INPUT_INVALID', [`GET ${head} HTTP/1.1`, local, 'Accept: application/xml']],
  [
    406,
    'INPUT_INVALID',
    ['GET /graphql?query=subscription%7BlistingChanged%7Bevent%7D%7D HTTP/1.1', local, 'Accept: a/b'],
  ],
  [415, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, 'Content-Type: text/plain', 'Content-Length: 0']],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, json, 'Content-Length: 0']],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, json, 'Content-Length: -1']],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, json, `Content-Length: ${'9'.repeat(30)}`]],
  [413, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, json, 'Content-Length: 9999999']],
  [411, 'LENGTH_REQUIRED', ['POST /graphql HTTP/1.1', local, json, 'Transfer-Encoding: chunked']],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, json, 'Transfer-Encoding: identity', 'Content-Length: 2']],
  [417, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local, 'Expect: foo'], '{}'],
  [417, 'INPUT_INVALID', ['GET / HTTP/1.1', local, 'Transfer-Encoding: x', 'Expect: x']],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local], '{}'],
  [400, 'INPUT_INVALID', ['POST /graphql HTTP/1.1', local], '{'],
  [431, 'INPUT_INVALID', ['GET /health HTTP/1.1', local, `X: ${'y'.repeat(20_000)}`]],
  [431, 'INPUT_INVALID', ['GET /health HTTP/1.1', local, ...Array.from({ length: 2_500 }, (_, at) => `a${at}: 1`)]],
  [400, 'INPUT_INVALID', ['PRI * HTTP/2.0']],
  [400, 'INPUT_INVALID', ['NONSENSE']],
  [400, 'INPUT_INVALID', ['GET /health HTTP/1.1', local, 'a b: c']],
  [400, 'INPUT_INVALID', ['GET /graphql HTTP/1.1', ...upgrade]],
  [400, 'INPUT_INVALID', ['GET /graphql HTTP/1.1', ...upgrade, 'Sec-WebSocket-Key: x', 'Sec-WebSocket-Version: 99']],
  [401, 'TOKEN_INVALID', [`GET ${head} HTTP/1.1`, local, 'Authorization: Basic x']],
])('%d %s answers case %#', async (...[status, code, lines, body]) => {
  const answer = await send(lines, body)
  expect({ status: answer.status, code: /"code":"(\w+)"/.exec(answer.body)?.[1] }).toEqual({ status, code })
  expectCode(answer)
})

test('an answer that takes too long is refused as any other', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  stuck = promise
  const answer = await send([`GET ${head} HTTP/1.1`, local])
  resolve()
  expect([answer.status, answer.body]).toEqual([503, expect.stringContaining('ANSWER_TIMED_OUT')])
  expectCode(answer)
})

test('whatever is sent, what is refused is refused with a code and a hint', () => {
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'HEAD', 'SEARCH', 'get', '')
  const path = fc.oneof(
    fc.constantFrom('/', '/graphql', head, '/health', '/%', '*', 'x', 'http://a/graphql', '/graphql/page/x', '//'),
    fc.string({ unit: fc.constantFrom('/', 'a', '%', '?', '&', '=', '[', '.', '#', 'query=') }),
  )
  const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/3', '')
  const header = fc.oneof(
    fc.constantFrom(json, 'Content-Type: text/html', 'Accept: text/html', 'Accept: */xml', 'Accept: ,', 'Origin: null'),
    fc.constantFrom('Authorization: x', 'Expect: x', 'Upgrade: h2c', 'Content-Encoding: gzip', 'Range: x', 'Host: b'),
    fc.constantFrom('Access-Control-Request-Method: x', 'Transfer-Encoding: x', 'Content-Length: x', ': x', 'x'),
  )
  const body = fc.oneof(fc.json(), fc.constantFrom('', '{', '{"query":"{ head }"}', '{"query":"{"}'))
  return fc.assert(
    fc.asyncProperty(
      method,
      path,
      version,
      fc.array(header, { maxLength: 3 }),
      body,
      async (name, to, http, more, text) => {
        const answer = await send([`${name} ${to} ${http}`, local, ...more], text)
        if (name !== 'HEAD' && answer.body !== '') expectCode(answer)
        if (name !== 'HEAD' && answer.status >= 400) expectCode(answer)
        expect(world.logged).toEqual([])
      },
    ),
    { numRuns: 100 },
  )
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

test.each([
  ['a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'],
  ['a handshake that is none', 'GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  [
    'a handshake of another version',
    `GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket
Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n`,
  ],
  ['no HTTP', '\u0000\r\n\r\n'],
  ['another expectation', 'GET /health HTTP/1.1\r\nHost: a\r\nExpect: nothing\r\n\r\n'],
  ['a head that is too long', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
])('a client that leaves before its answer to %s is written ends nothing', async (_, text) => {
  const port = Number(new URL(world.url).port)
  const leave = (delayMs: number) =>
    new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.once('close', () => resolve())
      socket.write(text.repeat(3))
      setTimeout(() => socket.resetAndDestroy(), delayMs)
    })
  for (let round = 0; round < 10; round += 1)
    await Promise.all(Array.from({ length: 12 }, (_, index) => leave(index % 4)))
  expect((await fetch(`${world.url}/health`)).status).toBe(200)
})
