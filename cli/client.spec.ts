import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from '@jest/globals'
import { createClient } from './client.ts'

const html: RequestListener = (_, response) => response.setHeader('content-type', 'text/html').end('<html>')
const withServer = async (listener: RequestListener, work: (url: string) => Promise<void>): Promise<void> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).finally(() => {
    server.closeAllConnections()
    server.close()
  })
}
const unreachable = (reason: string) => ({
  code: 'PLATFORM_UNREACHABLE',
  details: { url: expect.stringContaining('http'), reason: expect.stringContaining(reason) },
})

test.each<[string, RequestListener, string]>([
  ['a page', html, 'it answers 200 and no GraphQL'],
  ['nothing', (_, response) => response.end(), 'it answers 200 and no GraphQL'],
  ['another JSON', (_, response) => response.end('[1]'), 'it answers 200 and no GraphQL'],
  ['an error page', (_, response) => response.writeHead(502).end('Bad Gateway'), 'it answers 502 and no GraphQL'],
  ['a broken connection', (request) => request.socket.destroy(), ''],
])('what answers with %s is no platform', (_, listener, reason) =>
  withServer(listener, async (url) => {
    const client = createClient(url)
    await expect(client.query('{ viewer { id } }')).rejects.toMatchObject(unreachable(reason))
    await client.close()
  }),
)

test('where nothing answers, the address and the reason are named', async () => {
  const client = createClient('http://127.0.0.1:65534')
  await expect(client.query('{ viewer { id } }')).rejects.toMatchObject(unreachable('ECONNREFUSED'))
  await expect(client.subscribe('subscription { x }').next()).rejects.toMatchObject(unreachable(''))
  await client.close()
})

test.each(['garbage', 'ftp://a', '', 'localhost:4000', 'http://'])('%j is no address', (url) =>
  expect(() => createClient(url)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' })),
)

test('a refusal keeps its code, details and hint', () =>
  withServer(
    (request, response) => {
      let body = ''
      request.on('data', (text) => {
        body += text
      })
      request.on('end', () => {
        const refusal = { code: 'LISTING_FULL', message: 'It is full.', hint: 'Take another one.' }
        const answer = body.includes('mutation')
          ? { data: { answer: { __typename: 'Refused', ...refusal, details: [{ name: 'free', value: '0' }] } } }
          : { errors: [{ message: refusal.message, extensions: { ...refusal, details: { free: '0' } } }] }
        response.end(JSON.stringify(answer))
      })
    },
    async (url) => {
      const client = createClient(url)
      const refused = {
        code: 'LISTING_FULL',
        details: { free: '0' },
        message: 'LISTING_FULL: It is full. (free: 0) Take another one.',
      }
      await expect(client.query('{ viewer { id } }')).rejects.toMatchObject(refused)
      await expect(client.mutate('rentGpu', {}, 'id')).rejects.toMatchObject(refused)
      await client.close()
    },
  ))
