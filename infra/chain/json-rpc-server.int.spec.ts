import { request as httpRequest } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type JsonRpcServer, serveJsonRpc } from './json-rpc-server.ts'

const listed = 'https://app.example.com'
const ownerSecret = 'the-secret-of-the-owner'
const json = { 'content-type': 'application/json' }
let server: JsonRpcServer
const post = (body: string, headers: Record<string, string> = {}) =>
  fetch(server.url, { method: 'POST', body, headers: { ...json, ...headers } })
beforeEach(async () => {
  server = await serveJsonRpc({
    port: 0,
    origins: [listed],
    ownerSecret,
    handle: async (method, params, caller) => [method, ...params, caller],
  })
})
afterEach(() => server.close())

/** Posts with any header, also those that fetch does not let through. Resolves to status and headers. */
const postWith = (headers: Record<string, string>, method = 'POST') =>
  new Promise<{ status: number | undefined; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const asked = httpRequest(server.url, { method, headers: { ...json, ...headers } }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
    })
    asked.on('error', reject)
    asked.end(method === 'POST' ? '{"id":1,"method":"a"}' : undefined)
  })

test('answers on this machine only', async () => {
  expect(new URL(server.url).hostname).toBe('127.0.0.1')
  const response = await post('[{"id":1,"method":"a"},{"id":2,"method":"b","params":[3]}]')
  expect(await response.json()).toEqual([
    { jsonrpc: '2.0', id: 1, result: ['a', 'guest'] },
    { jsonrpc: '2.0', id: 2, result: ['b', 3, 'guest'] },
  ])
})

describe('a web page', () => {
  const strangers = [
    'https://evil.example',
    'http://localhost:3000',
    'null',
    `${listed}.evil.example`,
    `${listed}:8443`,
  ]
  test.each(strangers)('of %s gets nothing, neither for its preflight nor for its request', async (origin) => {
    for (const method of ['OPTIONS', 'POST']) {
      const { status, headers, body } = await postWith({ origin }, method)
      expect([status, body]).toEqual([403, ''])
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })
  test('whose origin is listed may call', async () => {
    const preflight = await postWith({ origin: listed }, 'OPTIONS')
    expect(preflight).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': listed } })
    const response = await postWith({ origin: listed })
    expect(response).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': listed } })
  })
  test('is a guest even with the secret of the owner', async () => {
    const { body } = await postWith({ origin: listed, authorization: `Bearer ${ownerSecret}` })
    expect(JSON.parse(body).result).toEqual(['a', 'guest'])
  })
  test('that calls by a name which points here is refused', async () => {
    for (const host of ['evil.example', 'evil.example:8545', '127.0.0.1.evil.example', '192.168.0.1'])
      expect((await postWith({ host })).status).toBe(403)
    expect((await postWith({ host: 'localhost:8545' })).status).toBe(200)
  })
})

test('knows its owner by the secret, whole and nothing else', async () => {
  const callerOf = async (authorization: string) =>
    (await (await post('{"id":1,"method":"a"}', { authorization })).json()).result[1]
  expect(await callerOf(`Bearer ${ownerSecret}`)).toBe('owner')
  for (const wrong of ['', 'Bearer', `Bearer ${ownerSecret}x`, `Bearer ${ownerSecret.slice(1)}`, ownerSecret])
    expect(await callerOf(wrong)).toBe('guest')
})

test('does not answer a notification', async () => {
  const response = await post('{"method":"a"}')
  expect([response.status, await response.text()]).toEqual([204, ''])
})

test('accepts only POST, and only JSON', async () => {
  expect((await fetch(server.url)).status).toBe(405)
  expect((await post('{"id":1,"method":"a"}', { 'content-type': 'text/plain' })).status).toBe(415)
})

test('takes a body of 256 KiB and refuses a larger one', async () => {
  const bodyOf = (bytes: number) => {
    const frame = '{"id":1,"method":"a","params":[""]}'
    return frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`)
  }
  expect((await post(bodyOf(256 * 1024))).status).toBe(200)
  expect((await post(bodyOf(256 * 1024 + 1))).status).toBe(413)
})

test('refuses a batch over 50 requests', async () => {
  const batchOf = (requests: number) => JSON.stringify(Array(requests).fill({ id: 1, method: 'a' }))
  expect(await (await post(batchOf(50))).json()).toHaveLength(50)
  expect(await (await post(batchOf(51))).json()).toMatchObject({ error: { code: -32600 } })
})

test('a taken port is replaced by a free one, unless it must be this one', async () => {
  const port = Number(new URL(server.url).port)
  const second = await serveJsonRpc({ port, handle: async () => 'second' })
  expect(second.url).not.toBe(server.url)
  const answered = await fetch(second.url, { method: 'POST', headers: json, body: '{"id":1,"method":"a"}' })
  expect(await answered.json()).toMatchObject({ result: 'second' })
  await second.close()
  await expect(serveJsonRpc({ port, exactPort: true, handle: async () => 0 })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
})
