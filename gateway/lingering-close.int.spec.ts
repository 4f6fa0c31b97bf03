// A client that sends all of its request before it reads gets the answer, however early the request was refused.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'

let world: GatewayWorld
beforeAll(async () => {
  world = await createGatewayWorld()
})
afterAll(() => world.close())

/** Sends bytes, reads nothing until they are taken, and resolves to the answer; rejects when the connection breaks. */
const sendThenRead = (bytes: Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(world.port, '127.0.0.1')
    socket.pause()
    socket.once('error', reject)
    socket.write(bytes, () => setTimeout(() => socket.resume(), 20))
    let answer = ''
    socket.on('data', (data) => {
      answer += data
    })
    socket.setTimeout(20_000, () => socket.destroy(new Error(`no end after ${answer}`)))
    socket.once('end', () => socket.end())
    socket.once('close', (hadError) => hadError || resolve(answer))
  })

const json = 'Content-Type: application/json'
/** How a request may be refused: by its head, by the first bytes of its body, or by all of it. */
const refused: readonly (readonly [method: string, path: string, headers: readonly string[]])[] = [
  ['POST', '/graphql', [json]],
  ['POST', '/graphql', ['Content-Type: text/plain']],
  ['POST', '/nothing', [json]],
  ['PUT', '/graphql', []],
  ['POST', '/graphql', [json, 'Expect: x']],
  ['POST', '/graphql', [json, 'a b: c']],
  ['POST', '/%', [json]],
  ['POST', '/graphql', [json, `X: ${'y'.repeat(20_000)}`]],
  ['CONNECT', 'a:1', []],
]

test.each(refused)('an answer reaches a client that sends on: %s %s, case %#', (method, path, headers) =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1_100_000, max: 12_000_000 }),
      fc.constantFrom([], ['Connection: close']),
      async (length, more) => {
        const head = [`${method} ${path} HTTP/1.1`, 'Host: localhost', `Content-Length: ${length}`, ...headers, ...more]
        // A next one, on a connection that lives on, ends it.
        const last = 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
        const bytes = Buffer.from(`${head.join('\r\n')}\r\n\r\n${' '.repeat(length)}${last}`)
        expect(await sendThenRead(bytes)).toMatch(/^HTTP\/1.1 4\d\d .*"code":"/s)
      },
    ),
    { numRuns: 5 },
  ),
)

test('chunks are refused, and what a client sends of them is dropped', async () => {
  const chunks = '1\r\na\r\n'.repeat(500_000)
  const head = `POST /graphql HTTP/1.1\r\nHost: localhost\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n`
  expect(await sendThenRead(Buffer.from(head + chunks))).toMatch(/^HTTP\/1.1 411 /)
})

test('requests behind the last answer of a connection are not under way any more', async () => {
  const refused = `POST /graphql HTTP/1.1\r\nHost: localhost\r\n${json}\r\nContent-Length: 1\r\n\r\n{`
  const behind = 'GET /graphql?query=%7Bhead%7D HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const socket = connect({ port: world.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.write(`${behind.repeat(2)}${refused}${behind.repeat(10)}`)
  const began = performance.now()
  const inUse = async () =>
    Number(/in_use\{kind="requests"\} (\d+)/.exec(await (await fetch(`${world.url}/metrics`)).text())?.[1])
  await once(socket, 'readable')
  await eventually('none is under way', async () => (await inUse()) <= 1)
  expect(performance.now() - began).toBeLessThan(4_000)
  socket.destroy()
})

test('a client that sends for ever is left', async () => {
  const socket = connect(world.port, '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined)
  socket.on('data', () => undefined)
  socket.write(`POST /graphql HTTP/1.1\r\nHost: localhost\r\n${json}\r\nContent-Length: ${2 ** 40}\r\n\r\n`)
  const piece = Buffer.alloc(1024 * 1024)
  const sendOn = (): unknown => socket.writable && socket.write(piece, sendOn)
  sendOn()
  await closed
})
