// What one client can make the gateway hold open.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'

let world: GatewayWorld
let live = 0
beforeAll(async () => {
  world = await createGatewayWorld({
    config: { connectionsPerAddress: 6, operationsPerAddress: 20 },
    times: { requestMsMax: 1_000, answerMsMax: 3_000 },
    services: ({ store }) => ({
      store: {
        ...store,
        subscribe: async function* (options) {
          live += 1
          try {
            yield* store.subscribe(options)
          } finally {
            live -= 1
          }
        },
      },
    }),
  })
})
afterAll(() => world.close())

const open = async (parameters: object = {}): Promise<WebSocket> => {
  const socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  socket.on('error', () => undefined)
  const acknowledged = once(socket, 'message')
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'connection_init', payload: parameters }))
  await Promise.race([acknowledged, once(socket, 'close')])
  return socket
}
const listen = 'subscription { listingChanged { position } }'
const start = (socket: WebSocket, id: string) =>
  socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: listen } }))

test('an id that is used again at once leaves no subscription behind', async () => {
  const socket = await open()
  for (let count = 0; count < 15; count += 1) {
    start(socket, 'a')
    socket.send(JSON.stringify({ id: 'a', type: 'complete' }))
  }
  start(socket, 'a')
  await eventually('the last one alone runs', async () => live === 1)
  socket.close()
  await eventually('none runs', async () => live === 0)
})

test('the operations of an address are bounded over all its sockets', async () => {
  const sockets = await Promise.all([open(), open(), open()])
  const refused: string[] = []
  for (const [index, socket] of sockets.entries()) {
    socket.on('message', (data) => refused.push(String(data)))
    for (let count = 0; count < 10; count += 1) start(socket, `${index}-${count}`)
  }
  await eventually('the rest is refused', async () => refused.length === 10)
  expect(refused.every((text) => text.includes('TOO_MANY_REQUESTS'))).toBe(true)
  await eventually('the others run', async () => live === 20)
  for (const socket of sockets) socket.close()
  await eventually('none runs', async () => live === 0)
})

test('the sockets of an address are bounded', async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => open()))
  await eventually('two are refused', async () => sockets.filter(({ readyState }) => readyState === 3).length === 2)
  for (const socket of sockets) socket.close()
})

test('a subscription ends when the token expires', async () => {
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('0x00000000000000000000000000000000000000aa')
    .setIssuer('neuralmesh')
    .setAudience('neuralmesh-gateway')
    .setIssuedAt(new Date(world.market.now()))
    .setExpirationTime(new Date(Date.parse(world.market.now()) + 2_000))
    .sign(new TextEncoder().encode('a secret for tests that is long enough'))
  // Those of the tests before may still be closing.
  const socket = await eventually('a socket is accepted', async () => {
    const opened = await open({ authorization: `Bearer ${token}` })
    return opened.readyState === WebSocket.OPEN ? opened : undefined
  })
  start(socket, 'a')
  const [code, reason] = await once(socket, 'close')
  expect([code, String(reason)]).toEqual([4401, 'TOKEN_INVALID'])
})

test('requests at once are bounded, streams of events included', async () => {
  const controller = new AbortController()
  const url = `${world.url}/graphql?query=${encodeURIComponent(listen)}`
  const streams = Array.from({ length: 6 }, () =>
    fetch(url, { headers: { accept: 'text/event-stream' }, signal: controller.signal }),
  )
  await Promise.all(streams)
  const { status, errors } = await world.ask('{ head }')
  expect([status, errors?.[0]?.extensions.code]).toEqual([429, 'TOO_MANY_REQUESTS'])
  controller.abort()
  await eventually('it is served again', async () => (await world.ask('{ head }')).status === 200)
})

test.each([
  ['a head', 'POST /graphql HTTP/1.1\r\nhost: x\r\n', 'x-drip: 1\r\n'],
  [
    'a body',
    'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n',
    ' ',
  ],
])(
  '%s that comes drop by drop is given up',
  async (_, head, drop) => {
    const socket = connect(world.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(head)
    const dripping = setInterval(() => socket.write(drop), 50)
    socket.resume()
    await once(socket, 'close')
    clearInterval(dripping)
  },
  10_000,
)
