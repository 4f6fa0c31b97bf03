// Whatever clients send and however they leave: their connections end, and what they used is given back.
import { unsubscribe as offChannel, subscribe as onChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { mutationsPerAddressMax } from './executions.ts'
import { limitUpgrades } from './upgrades.ts'

const givenBackMsMax = 5_000
const atOnce = 10
const waitMs = 200

let world: GatewayWorld
let server: FastifyInstance['server']
const created = (message: unknown) => {
  server = (message as { readonly fastify: FastifyInstance }).fastify.server
}
beforeAll(async () => {
  onChannel('fastify.initialization', created)
  world = await createGatewayWorld()
  offChannel('fastify.initialization', created)
})
afterAll(() => world.close())

const open = async (port = world.port): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Resolves at the first of these events, also when the connection breaks. */
const first = (socket: Socket, ...names: readonly ('data' | 'close')[]) =>
  Promise.race(names.map((name) => new Promise((resolve) => socket.once(name, resolve))))

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
const webSocket = `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${key}`
const body = JSON.stringify({ query: '{ listings(first: 5) { nodes { id } } }' })
const subscription = JSON.stringify({ query: 'subscription { listingChanged { position } }' })
const requestOf = (method: string, target: string, headers: string, text: string) =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\n${headers}` +
  (text === '' ? '\r\n' : `Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`)

const request = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'CONNECT'),
    target: fc.constantFrom('/graphql', '/graphql', '/health', '/metrics', '/ready', '/none', 'a:1'),
    headers: fc.constantFrom(
      '',
      '',
      webSocket,
      webSocket.replace('13', '99'),
      webSocket.replace(key, ''),
      'Connection: upgrade\r\nUpgrade: h2c\r\n',
      `${webSocket}Transfer-Encoding: chunked\r\n`,
      'Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n',
      'Accept: text/event-stream\r\n',
      'Expect: 100-continue\r\n',
    ),
    text: fc.constantFrom('', '', body, subscription),
  })
  .map(({ method, target, headers, text }) => requestOf(method, target, headers, text))
const client = fc.record({
  requests: fc.array(request, { minLength: 1, maxLength: 16 }),
  after: fc.constantFrom('', '', 'x'.repeat(20_000), 'GET /health HT'),
  isInPieces: fc.boolean(),
  waits: fc.boolean(),
  leaves: fc.constantFrom('end', 'destroy'),
})

/** Resolves to what is held for all clients together. */
const held = async (): Promise<Readonly<Record<string, number>>> => {
  const text = await world.registry.metrics()
  const inUse = [...text.matchAll(/neuralmesh_gateway_in_use\{kind="(\w+)"\} (\d+)/g)]
  const connections = await promisify(server.getConnections.bind(server))()
  return { ...Object.fromEntries(inUse.map(([, kind, count]) => [kind, Number(count)])), connections }
}
const nothing = { sockets: 0, requests: 0, operations: 0, requestBytes: 0, connections: 0 }

test(
  'everything is given back, whatever clients have sent and however they leave',
  () =>
    fc.assert(
      fc.asyncProperty(fc.array(client, { minLength: atOnce, maxLength: atOnce }), async (clients) => {
        await Promise.all(
          clients.map(async ({ requests, after, isInPieces, waits, leaves }) => {
            const socket = await open()
            socket.resume()
            const closed = first(socket, 'close')
            const answered = Promise.race([first(socket, 'data', 'close'), delay(waitMs)])
            const pieces = isInPieces ? [...requests, after] : [requests.join('') + after]
            for (const piece of pieces) if (socket.writable) socket.write(piece)
            if (waits) await answered
            if (leaves === 'end') socket.end()
            else socket.destroy()
            // One that waits for an answer to a half-closed connection would hold the test up.
            if (leaves === 'end') setTimeout(() => socket.destroy(), 100)
            await closed
          }),
        )
        await eventually(
          'everything is given back',
          async () => JSON.stringify(await held()) === JSON.stringify(nothing),
          givenBackMsMax,
        ).catch(async () => expect(await held()).toEqual(nothing))
      }),
      { numRuns: 25, endOnFailure: true },
    ),
  60_000,
)

test.each([
  ['another protocol', 'GET /health', 'Connection: upgrade\r\nUpgrade: h2c\r\n', '{"status":"alive"}'],
  ['a WebSocket elsewhere', 'GET /health', webSocket, '{"status":"alive"}'],
  [
    'another protocol, with a body',
    'POST /graphql',
    'Connection: upgrade\r\nUpgrade: h2c, websocket\r\n',
    '"nodes":[]',
  ],
])('a request that asks for %s is answered as if it did not', async (_what, line, headers, answer) => {
  const socket = await open()
  let text = ''
  socket.on('data', (data) => {
    text += String(data)
  })
  const [method = '', path = ''] = line.split(' ')
  socket.write(requestOf(method, path, headers, method === 'POST' ? body : ''))
  await first(socket, 'close')
  expect([text.slice(0, 15), text]).toEqual(['HTTP/1.1 200 OK', expect.stringContaining(answer)])
})

test('a connection that does not become a WebSocket in time is ended, one that does is not', async () => {
  const http = createServer()
  const webSockets = new WebSocketServer({ noServer: true })
  http.on('upgrade', (upgrade, socket, head) => {
    if (upgrade.url === '/up')
      webSockets.handleUpgrade(upgrade, socket, head, (one) => webSockets.emit('connection', one, upgrade))
  })
  const endAll = limitUpgrades(http, webSockets, 50)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const up = await open(port)
  const became = once(webSockets, 'connection') as Promise<[WebSocket]>
  up.write(requestOf('GET', '/up', webSocket, ''))
  const [accepted] = await became
  const waiting = await open(port)
  waiting.resume()
  waiting.write(requestOf('GET', '/other', webSocket, ''))
  await first(waiting, 'close')
  expect(accepted.readyState).toBe(accepted.OPEN)
  accepted.terminate()
  endAll()
  http.close()
})

test('of many mutations of an address a few begin, none once its clients have left, and then all is given back', async () => {
  const { promise: gate, resolve: end } = Promise.withResolvers<void>()
  let [begun, ended] = [0, 0]
  const usual = server
  onChannel('fastify.initialization', created)
  const other = await createGatewayWorld({
    services: ({ commands }) => ({
      commands: {
        ...commands,
        execute: async (...asked) => {
          begun += 1
          await gate
          const answer = await commands.execute(...asked)
          ended += 1
          return answer
        },
      },
    }),
  })
  offChannel('fastify.initialization', created)
  const connectionsOf = promisify(server.getConnections.bind(server))
  server = usual
  const { token } = await other.newUser()
  const text = JSON.stringify({ query: 'mutation { registerProvider(input: { name: "a" }) { __typename } }' })
  const sent = requestOf('POST', '/graphql', `Authorization: Bearer ${token}\r\n`, text)
  const inUse = async () => {
    const [, count] = /neuralmesh_gateway_in_use\{kind="requests"\} (\d+)/.exec(await other.registry.metrics()) ?? []
    return Number(count)
  }
  // Those of newUser, which fetch keeps open.
  const others = Number(await connectionsOf())
  const sockets = await Promise.all(Array.from({ length: 100 }, () => open(other.port)))
  for (const socket of sockets) socket.resume().write(sent)
  await eventually('all are under way', async () => (await inUse()) === 100)
  await eventually('some have begun', async () => begun === mutationsPerAddressMax)
  const closed = Promise.all(sockets.map((socket) => first(socket, 'close')))
  for (const socket of sockets) socket.destroy()
  await closed
  await eventually('the gateway has noticed', async () => Number(await connectionsOf()) <= others)
  // Their work has not ended: it counts.
  expect(await inUse()).toBe(100)
  end()
  await eventually('all is given back', async () => (await inUse()) === 0, givenBackMsMax)
  expect([begun, ended]).toEqual([mutationsPerAddressMax, mutationsPerAddressMax])
  await other.close()
})

test('the gateway closes whatever its connections wait for', async () => {
  const other = await createGatewayWorld()
  const sent = [
    requestOf('OPTIONS', '/graphql', webSocket, ''),
    requestOf('GET', '/health', '', '') + requestOf('GET', '/graphql', webSocket, ''),
    requestOf('POST', '/graphql', 'Accept: text/event-stream\r\n', subscription) + requestOf('CONNECT', 'a:1', '', ''),
    requestOf('GET', '/graphql', webSocket, ''),
    'GET /health HT',
  ]
  const sockets = await Promise.all(sent.map(() => open(other.port)))
  const closed = Promise.all(sockets.map((socket) => first(socket.resume(), 'close')))
  sockets.forEach((socket, index) => void socket.write(sent[index] ?? ''))
  await Promise.all(sockets.slice(0, 4).map((socket) => first(socket, 'data', 'close')))
  await other.close()
  await closed
})
