import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventually } from '../testing/eventually.ts'
import { readBody, refuseChunks } from './body.ts'
import { lingerConnections } from './lingering-close.ts'

const bytesMax = 200_000
/** How many bytes the quotas have, and how many of them all requests have taken. */
let [room, taken] = [Number.POSITIVE_INFINITY, 0]
const grow = (bytes: number): boolean => {
  if (taken + bytes > room) return false
  taken += bytes
  return true
}
/** What was thrown for the last request. */
let thrown: unknown
let server: Server
beforeAll(async () => {
  server = createServer(async (request, response) => {
    thrown = undefined
    try {
      refuseChunks(request, response)
      response.end(await readBody(request, { bytesMax, grow }))
    } catch (error) {
      thrown = error
      response.end()
    }
  })
  lingerConnections(server, () => [])
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

test('a body in chunks is refused, and its connection ends', async () => {
  const socket = open()
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n')
  socket.on('data', () => undefined)
  await once(socket, 'close')
  expect(thrown).toMatchObject({ code: 'LENGTH_REQUIRED' })
})

test('a head takes nothing for the body that it claims, and a body what has come of it', async () => {
  const length = bytesMax
  const socket = open()
  const before = taken
  const seen = once(server, 'request')
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`)
  await seen
  expect(taken).toBe(before)
  socket.write('x')
  await eventually('a piece has come', async () => taken > before)
  expect(taken - before).toBeLessThan(length / 10)
  socket.write('x'.repeat(length - 1))
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toContain('200 OK')
  expect(taken - before).toBe(length)
  socket.destroy()
})

test('a body for which there is no room is refused, and the refusal is sent', async () => {
  room = taken + 20_000
  const { status } = await fetch(url(), { method: 'POST', body: 'x'.repeat(bytesMax) })
  room = Number.POSITIVE_INFINITY
  expect([status, thrown]).toEqual([200, expect.objectContaining({ code: 'TOO_MANY_REQUESTS' })])
})
