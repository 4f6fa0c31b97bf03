// What a client can make the gateway hold with messages and bodies in pieces, and with answers that it does not take.
import { unsubscribe as offChannel, subscribe as onChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'

let world: GatewayWorld
/** Every route that the gateway registers. */
const routes: string[] = []
const collect = (message: unknown) => {
  const { fastify } = message as { readonly fastify: FastifyInstance }
  fastify.addHook('onRoute', ({ method, url }) => {
    if (method === 'GET') routes.push(url)
  })
}

beforeAll(async () => {
  onChannel('fastify.initialization', collect)
  world = await createGatewayWorld()
  offChannel('fastify.initialization', collect)
})
afterAll(() => world.close())

const open = (): Socket => {
  const socket = connect(world.port, '127.0.0.1')
  socket.on('error', () => undefined)
  return socket
}

/** Resolves to how many bytes are counted against the quotas. */
const counted = async (): Promise<number> => {
  const text = await (await fetch(`${world.url}/metrics`)).text()
  return Number(/neuralmesh_gateway_in_use\{kind="requestBytes"\} (\d+)/.exec(text)?.[1])
}

/** Sends a body in chunks of one size, and the start of another request. Resolves to all that is answered before the
 *  gateway ends the connection. */
const sendChunks = async (method: string, path: string, type: string, size: number, count: number): Promise<string> => {
  const socket = open()
  let text = ''
  socket.on('data', (data) => {
    text += String(data)
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  // At once: an answer may be lost where more comes after it.
  socket.write(
    `${method} ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n` +
      `${`${size.toString(16)}\r\n${' '.repeat(size)}\r\n`.repeat(count)}0\r\n\r\n` +
      'GET /health HTTP/1.1\r\nhost: x\r\n\r\n',
  )
  await closed
  return text
}

describe('a body without a length', () => {
  test('is refused at every route, in every format and with every method, and ends its connection', async () => {
    const others: string[] = []
    for (const path of [...new Set(routes), '/none'])
      for (const method of ['GET', 'OPTIONS', 'POST', 'PUT'])
        for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
          for (const [size, count] of [
            [1, 100],
            [1_000, 5],
          ] as const) {
            const answer = await sendChunks(method, path, type, size, count)
            if (!answer.startsWith('HTTP/1.1 411 ') || !answer.includes('"LENGTH_REQUIRED"'))
              others.push(`${method} ${path} ${type}: ${answer}`)
          }
    expect(others).toEqual([])
  })

  test('is refused whatever its size', async () => {
    for (const [size, count] of [
      [1, 200_000],
      [60_000, 40],
    ] as const)
      expect(await sendChunks('POST', '/graphql', 'application/json', size, count)).not.toContain('HTTP/1.1 200')
  })
})

describe('an answer that is not taken', () => {
  const clients = 40
  const bytesMax = 24 * 1024 * 1024

  test('takes little memory at every route, or is counted', async () => {
    const page = await (await fetch(`${world.url}/graphql`, { headers: { accept: 'text/html' } })).text()
    const files = [...page.matchAll(/"(\/graphql\/page\/[^"]+)"/g)].map(([, path = '']) => path)
    const paths = [...new Set(routes)].flatMap((path) => (path.includes(':') ? files : [path]))
    expect(paths).toEqual(
      expect.arrayContaining(['/', '/graphql', '/health', '/ready', '/status', '/metrics', files[0]]),
    )
    const heavy: string[] = []
    for (const path of paths) {
      const before = process.memoryUsage().arrayBuffers
      const sockets = Array.from({ length: clients }, () => {
        const socket = open()
        socket.pause()
        socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n`.repeat(3))
        return socket
      })
      try {
        // Answered behind them, from the same loop.
        for (let round = 0; round < 20; round += 1) await fetch(`${world.url}/health`)
        const held = process.memoryUsage().arrayBuffers - before
        if (held > bytesMax) heavy.push(`${path}: ${held} bytes for ${clients} clients`)
      } finally {
        for (const socket of sockets) socket.destroy()
      }
    }
    expect(heavy).toEqual([])
  })
})

test('the metrics are written once for all who ask at the same time', async () => {
  let written = 0
  const metric = world.registry.getSingleMetric('neuralmesh_gateway_in_use')
  if (metric === undefined) throw new Error('the metric is missing')
  const { get } = metric
  metric.get = (() => {
    written += 1
    return new Promise((resolve) => setImmediate(resolve)).then(() => get.call(metric))
  }) as typeof get
  try {
    const socket = open()
    const asked = 50
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(asked))
    let text = ''
    socket.on('data', (data) => {
      text += String(data)
    })
    await eventually('all are answered', async () => text.split('HTTP/1.1 200').length === asked + 1)
    socket.destroy()
    expect(written).toBeLessThan(asked / 5)
  } finally {
    metric.get = get
  }
})

describe('a message', () => {
  const connectSocket = async (): Promise<{ readonly socket: WebSocket; readonly closed: Promise<unknown[]> }> => {
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    socket.on('error', () => undefined)
    await once(socket, 'open')
    const closed = once(socket, 'close')
    return { socket, closed }
  }

  test('that is not finished is counted, and given back when it is or when its client leaves', async () => {
    const { socket } = await connectSocket()
    const part = 'x'.repeat(400_000)
    socket.send(`{"type":"ping","payload":{"a":"${part}`, { fin: false })
    await eventually('it is counted', async () => (await counted()) > part.length - 32_000)
    socket.send('"}}', { fin: true })
    await eventually('it is given back', async () => (await counted()) === 0)
    socket.send(part, { fin: false })
    await eventually('it is counted again', async () => (await counted()) > part.length - 32_000)
    socket.terminate()
    await eventually('it is given back again', async () => (await counted()) === 0)
  })

  test.each<[string, (socket: WebSocket) => void]>([
    [
      'in 300 fragments of a byte',
      (socket) => {
        for (let sent = 0; sent < 300; sent += 1) socket.send('x', { fin: false })
      },
    ],
    [
      'among a flood of pongs',
      (socket) => {
        socket.send('x', { fin: false })
        for (let sent = 0; sent < 1_000; sent += 1) socket.pong('x'.repeat(125))
      },
    ],
    [
      'among a flood of pings',
      (socket) => {
        for (let sent = 0; sent < 1_000; sent += 1) socket.ping()
      },
    ],
  ])('%s ends the socket', async (_what, send) => {
    const { socket, closed } = await connectSocket()
    send(socket)
    await closed
    expect(await counted()).toBe(0)
  })
})
