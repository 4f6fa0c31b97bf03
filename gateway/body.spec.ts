import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventually } from '../testing/eventually.ts'
import { readBody, refuseChunks } from './body.ts'

const bytesMax = 200_000
/** What was thrown for the last request. */
let thrown: unknown
let server: Server
beforeAll(async () => {
  server = createServer(async (request, response) => {
    thrown = undefined
    try {
      refuseChunks(request, response)
      response.end(await readBody(request, bytesMax))
    } catch (error) {
      thrown = error
      response.end()
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const open = () => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  return socket
}
const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

test('a body is read whole, in whichever pieces it comes', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme', maxLength: 2_000 }), { maxLength: 30 }), async (pieces) => {
      const body = pieces.join('')
      const socket = open()
      const answer: Buffer[] = []
      socket.on('data', (data) => answer.push(data))
      const head = `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`
      for (const piece of [head, ...pieces]) await new Promise((written) => socket.write(piece, written))
      await once(socket, 'close')
      expect(Buffer.concat(answer).toString('utf8').split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(body)
    }),
    { numRuns: 30 },
  ))

test('a body that is too long is refused before it is read', async () => {
  expect((await fetch(url(), { method: 'POST', body: 'x'.repeat(bytesMax) })).status).toBe(200)
  await fetch(url(), { method: 'POST', body: 'x'.repeat(bytesMax + 1) })
  expect(thrown).toMatchObject({ statusCode: 413 })
})

test('a body that breaks off is refused', async () => {
  const socket = open()
  const seen = once(server, 'request')
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf')
  await seen
  socket.destroy()
  await eventually('it is refused', async () => thrown !== undefined)
  expect(thrown).toMatchObject({ statusCode: 400 })
})

test('a body in chunks is refused, and nothing more is read from its connection', async () => {
  const socket = open()
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n')
  socket.on('data', () => undefined)
  await once(socket, 'close')
  expect(thrown).toMatchObject({ code: 'LENGTH_REQUIRED' })
})
