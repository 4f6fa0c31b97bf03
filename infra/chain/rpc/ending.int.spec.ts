// What a node may do to make us wait. Each call ends before the test does, with a code or an answer.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type WebSocket, WebSocketServer } from 'ws'
import { Failure } from '../../../domain/errors.ts'
import { rpcChain } from '../rpc.ts'

const address = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
const word = (hex: string) => `0x${hex.slice(2).toLowerCase().padStart(64, '0')}`
const results: Readonly<Record<string, unknown>> = {
  eth_chainId: '0x7',
  eth_getCode: '0x60',
  eth_call: word(address),
  eth_blockNumber: '0x64',
  eth_getBlockByNumber: null,
}
const answerTo = (body: string) => {
  const { id, method } = JSON.parse(body)
  return JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? null })
}

type Behave = (response: ServerResponse, request: IncomingMessage) => void
const open: (() => unknown)[] = []
afterEach(async () => {
  for (const end of open.splice(0)) await end()
})

/** Starts a node that behaves so at the requests that `isOdd` picks by their number. */
const startNode = async (behave: Behave, isOdd: (request: number) => boolean = () => true) => {
  let requests = 0
  const server = createServer(async (request, response) => {
    response.on('error', () => undefined)
    requests += 1
    if (isOdd(requests)) return behave(response, request)
    let body = ''
    for await (const data of request) body += data
    response.setHeader('content-type', 'application/json').end(answerTo(body))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}
const chainAt = (rpcUrl: string) => {
  const contract = { token: address, marketplace: address, asset: 'USDC/6' } as const
  const chain = rpcChain({ rpcUrl, chainId: 7, ...contract, confirmations: 5, headers: 'unchecked', requestMsMax: 400 })
  open.unshift(chain.close)
  return chain
}
/** Resolves to the code that a call ends with, once a node behaves so. */
const codeWhere = async (behave: Behave): Promise<string> => {
  const { host } = await startNode(behave)
  return codeOf(chainAt(`http://${host}`).heights())
}
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error: unknown) => {
      if (error instanceof Failure) return error.code
      throw error
    },
  )

const refusing =
  (status: number, headers: Readonly<Record<string, string>> = {}, body = 'no'): Behave =>
  (response) =>
    response.writeHead(status, headers).end(status === 204 || status === 304 ? undefined : body)
const inAnHour = new Date(Date.now() + 3_600_000).toUTCString()
const waits = ['0', '25', '3600', '86400', '1e9', '-5', 'soon', '', inAnHour, 'Thu, 01 Jan 1970 00:00:00 GMT']

describe.each(waits)('a node that wants us to wait: "%s"', (wait) => {
  test('with any status ends the call', async () => {
    const statuses = [403, 408, 413, 429, 500, 502, 503, 504]
    const codes = await Promise.all(statuses.map((status) => codeWhere(refusing(status, { 'retry-after': wait }))))
    expect(codes).toEqual(statuses.map(() => 'CHAIN_UNAVAILABLE'))
  })

  test.each([429, 503])('once, with status %d, is asked again', async (status) => {
    const json = { 'content-type': 'application/json', 'retry-after': wait }
    const error = '{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"slow down"}}'
    const { host } = await startNode(refusing(status, json, error), (request) => request === 4)
    expect(await chainAt(`http://${host}`).heights()).toEqual({ head: 100n, final: -1n })
  })
})

describe('a node that', () => {
  const drip =
    (first: string): Behave =>
    ({ socket }) => {
      socket?.write(first)
      const dripping = setInterval(() => socket?.write(' '), 20)
      open.push(() => clearInterval(dripping))
    }
  test.each<[string, Behave]>([
    ['says nothing', () => undefined],
    ['closes the connection', ({ socket }) => socket?.destroy()],
    ['sends no HTTP', ({ socket }) => socket?.end('hello\r\n\r\n')],
    ['drips a head', drip('HTTP/1.1 200 OK\r\nx: ')],
    ['drips a body', drip('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n')],
    ['drips chunks', drip('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')],
    ['breaks off', ({ socket }) => socket?.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{')],
    ['redirects to itself', refusing(307, { location: '/' })],
    ['redirects to nowhere', refusing(308, { location: 'http://[' })],
    ['redirects to where nobody answers', refusing(301, { location: 'http://127.0.0.1:1/' })],
    ['sends an empty text', refusing(200, {}, '')],
    ['sends HTML', refusing(200, { 'content-type': 'text/html' }, '<html>')],
    ['sends half of the JSON', refusing(200, { 'content-type': 'application/json' }, '{"jsonrpc":')],
    ['sends null', refusing(200, { 'content-type': 'application/json' }, 'null')],
    ['claims a coding', refusing(200, { 'content-encoding': 'gzip' }, 'no')],
  ])('%s ends the call with a code', async (_, behave) => expect(await codeWhere(behave)).toMatch(/^CHAIN_/))

  test('answers with any other status ends the call with a code', async () => {
    const statuses = [101, 204, 205, 304, 400, 401, 404, 418, 505, 599, 600, 999]
    for (const code of await Promise.all(statuses.map((status) => codeWhere(refusing(status)))))
      expect(code).toMatch(/^CHAIN_/)
  })

  // One that never opens a socket: infra/chain/rpc/ending.spec.ts. viem writes to the console where it does not.
  test.each<[string, (socket: WebSocket) => void]>([
    ['says nothing on a socket', () => undefined],
    ['sends no JSON on it', (socket) => socket.send('hello')],
    ['closes it', (socket) => socket.close()],
    ['breaks it', (socket) => socket.terminate()],
  ])('%s ends the call with a code', async (_, behave) => {
    const { server, host } = await startNode(() => undefined)
    const node = new WebSocketServer({ server })
    node.on('connection', behave)
    expect(await codeOf(chainAt(`ws://${host}`).heights())).toBe('CHAIN_UNAVAILABLE')
  })
})
