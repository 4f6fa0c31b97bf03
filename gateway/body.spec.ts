import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readBody } from './body.ts'

const bytesMax = 200_000
const piecesFreeMax = 1_024
const pieceBytesMin = 64

let turns = 0
let server: Server
beforeAll(async () => {
  server = createServer((request, response) => {
    request.socket.pause()
    const turn = async () => {
      turns += 1
      await new Promise((resolve) => setImmediate(resolve))
    }
    readBody(request, bytesMax, turn).then(
      (body) => response.end(`${body.length}.`),
      (error: { readonly statusCode: number }) => {
        response.writeHead(error.statusCode, { connection: 'close' })
        response.end('refused.')
      },
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const head = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'

/** Sends bodies in chunks of one size, one after the other on one connection. Resolves to what is answered. */
const send = async (bodies: readonly { readonly size: number; readonly count: number }[]): Promise<string[]> => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  const answers: string[] = []
  for (const { size, count } of bodies) {
    const answered = once(socket, 'data')
    socket.write(`${head}${`${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`.repeat(count)}0\r\n\r\n`)
    let text = String((await answered)[0])
    while (!text.endsWith('.') && !text.endsWith('.\r\n0\r\n\r\n')) text += String((await once(socket, 'data'))[0])
    answers.push(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? text)
    if (answers.at(-1) !== '200') break
  }
  socket.destroy()
  return answers
}

const expectedOf = (size: number, count: number): string => {
  for (let piece = 1; piece <= count; piece += 1) {
    if (piece * size > bytesMax) return '413'
    if (piece > piecesFreeMax + ((piece - 1) * size) / pieceBytesMin) return '400'
  }
  return '200'
}

test('a body in chunks is read whole, or refused for its length or its pieces, and the connection goes on', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ size: fc.constantFrom(1, 7, 63, 200, 3_000), count: fc.integer({ min: 1, max: 4_000 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
      async (bodies) => {
        // A chunk across two reads comes in two pieces: near the limits either answer is right.
        fc.pre(bodies.every(({ size, count }) => expectedOf(size, count) === expectedOf(size, Math.ceil(count * 1.05))))
        const expected = bodies.map(({ size, count }) => expectedOf(size, count))
        const first = expected.findIndex((status) => status !== '200')
        expect(await send(bodies)).toEqual(first === -1 ? expected : expected.slice(0, first + 1))
      },
    ),
    { numRuns: 30 },
  ))

test('a body of many pieces is read in turns', async () => {
  turns = 0
  expect(await send([{ size: 64, count: 1_000 }])).toEqual(['200'])
  expect(turns).toBeGreaterThanOrEqual(2)
})
