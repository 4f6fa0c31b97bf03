// What a client can make the gateway hold with messages and bodies in pieces, and with answers that it does not take.
import { unsubscribe as offChannel, subscribe as onChannel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { bodyBytesMax } from './server.ts'

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

const chunk = (size: number) => `${size.toString(16)}\r\n${' '.repeat(size)}\r\n`

/** Sends a body in chunks of one size. Resolves to the status of the answer. */
const sendChunks = async (method: string, path: string, type: string, size: number, bytes: number): Promise<number> => {
  const socket = open()
  try {
    const answer = once(socket, 'data')
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`)
    const body = '{"query":"{ head }"}'
    socket.write(chunk(size).repeat(Math.floor(bytes / size)))
    socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
    const [data] = await answer
    return Number(/^HTTP\/1.1 (\d+)/.exec(String(data))?.[1])
  } finally {
    socket.destroy()
  }
}

describe('a body', () => {
  test.each([
    [1, 500, 200],
    [64, 500_000, 200],
    [4_096, 1_000_000, 200],
    [1, 5_000, 400],
    [16, 100_000, 400],
    [60_000, 2 * bodyBytesMax, 413],
  ])('in chunks of %d bytes, %d in all, is answered with %d', async (size, bytes, status) => {
    expect(await sendChunks('POST', '/graphql', 'application/json', size, bytes)).toBe(status)
  })

  test('in chunks leaves the connection open for the next request, whatever the answer', async () => {
    const socket = open()
    let text = ''
    socket.on('data', (data) => {
      text += String(data)
    })
    const body = '{"query":"{ head }"}'
    const chunks = [...body].map((letter) => `1\r\n${letter}\r\n`).join('')
    for (const [count, type] of ['application/json', 'text/plain', 'application/json', 'application/json'].entries()) {
      socket.write(`POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`)
      socket.write(`${chunks}0\r\n\r\n`)
      await eventually('it is answered', async () => text.split('HTTP/1.1 ').length === count + 2)
    }
    socket.destroy()
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['200', '415', '200', '200'].map((status) => `HTTP/1.1 ${status}`))
  })

  test('in small chunks is gathered at no route, in no format and with no method', async () => {
    const answered: string[] = []
    for (const path of [...new Set(routes), '/none'])
      for (const method of ['GET', 'HEAD', 'POST', 'PUT'])
        for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
          const status = await sendChunks(method, path, type, 1, 5_000)
          if (status < 400) answered.push(`${method} ${path} ${type}: ${status}`)
        }
    expect(answered).toEqual([])
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
