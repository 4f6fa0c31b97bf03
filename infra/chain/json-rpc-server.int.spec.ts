import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type JsonRpcServer, serveJsonRpc } from './json-rpc-server.ts'

let server: JsonRpcServer
const post = (body: string) => fetch(server.url, { method: 'POST', body })
beforeEach(async () => {
  server = await serveJsonRpc({ port: 0, handle: async (method, params) => [method, ...params] })
})
afterEach(() => server.close())

test('answers on this machine only, to pages from anywhere', async () => {
  expect(new URL(server.url).hostname).toBe('127.0.0.1')
  const preflight = await fetch(server.url, { method: 'OPTIONS' })
  expect(preflight.status).toBe(204)
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
  expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type')
  const response = await post('[{"id":1,"method":"a"},{"id":2,"method":"b","params":[3]}]')
  expect(response.headers.get('access-control-allow-origin')).toBe('*')
  expect(await response.json()).toEqual([
    { jsonrpc: '2.0', id: 1, result: ['a'] },
    { jsonrpc: '2.0', id: 2, result: ['b', 3] },
  ])
})

test('does not answer a notification', async () => {
  const response = await post('{"method":"a"}')
  expect([response.status, await response.text()]).toEqual([204, ''])
})

test('accepts only POST', async () => expect((await fetch(server.url)).status).toBe(405))

test('takes a body of 1 MiB and refuses a larger one', async () => {
  const bodyOf = (bytes: number) => {
    const frame = '{"id":1,"method":"a","params":[""]}'
    return frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`)
  }
  expect((await post(bodyOf(1024 * 1024))).status).toBe(200)
  expect((await post(bodyOf(1024 * 1024 + 1))).status).toBe(413)
})

test('a taken port is replaced by a free one', async () => {
  const second = await serveJsonRpc({ port: Number(new URL(server.url).port), handle: async () => 'second' })
  expect(second.url).not.toBe(server.url)
  expect(await (await fetch(second.url, { method: 'POST', body: '{"id":1,"method":"a"}' })).json()).toMatchObject({
    result: 'second',
  })
  await second.close()
})
