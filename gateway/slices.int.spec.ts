// What connections send, as the parser of the server gets it.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as nextRound } from 'node:timers/promises'
import { afterEach, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createFairTurns } from '../infra/async/fair-turns.ts'
import { requestsAtOnceMax, requestsPerConnectionMax, sliceBytesMax, sliceConnections } from './slices.ts'

const upgraded = 'HTTP/1.1 101 Switching Protocols\r\n\r\n'
const roundsMax = 12
const turnsPerRound = 2

/** Repeats what follows the upgrade. */
const echo = (_request: IncomingMessage, socket: Socket, head: Buffer) => {
  socket.on('error', () => undefined)
  socket.write(upgraded)
  if (head.length > 0) socket.unshift(head)
  socket.on('data', (data) => socket.write(data))
  socket.on('end', () => socket.end())
}

/** Starts a server whose answers come after the rounds that the path names, with all that the request had. */
const createWorld = async () => {
  const counts = { begun: 0, open: 0, openMost: 0, inRound: 0, inRoundMost: 0, largest: 0 }
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (counts.inRound === 0)
      setImmediate(() => {
        counts.inRound = 0
      })
    counts.inRound += 1
    counts.inRoundMost = Math.max(counts.inRoundMost, counts.inRound)
    counts.begun += 1
    counts.open += 1
    counts.openMost = Math.max(counts.openMost, counts.open)
    response.once('close', () => {
      counts.open -= 1
    })
    const [, name = '', rounds = '0', reads = 'at once'] = (request.url ?? '').split('/')
    for (let round = 0; round < Number(rounds); round += 1) await nextRound()
    if (reads === 'never') return response.end(`${name} unread`)
    let body = ''
    for await (const piece of request) body += String(piece)
    return response.end(`${name} ${body}`)
  }
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    answer(request, response).catch(() => undefined)
  })
  server.on('upgrade', echo)
  // Between the parser and the slices.
  server.on('connection', (socket: Socket) => {
    const [parse] = socket.listeners('data') as ((data: Buffer) => void)[]
    if (parse === undefined) return
    socket.removeListener('data', parse)
    socket.on('data', (slice) => {
      counts.largest = Math.max(counts.largest, slice.length)
      parse(slice)
    })
  })
  sliceConnections(server, createFairTurns({ perRound: turnsPerRound }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, counts, port: (server.address() as AddressInfo).port }
}

const servers: Server[] = []
const start = async () => {
  const world = await createWorld()
  servers.push(world.server)
  return world
}
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

const open = (port: number): Socket => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => undefined)
  return socket
}

/** Resolves to all that the server sends until it ends the connection. */
const answerTo = async (port: number, pieces: readonly Buffer[]): Promise<string> => {
  const socket = open(port)
  const closed = once(socket, 'close')
  let text = ''
  socket.on('data', (data) => {
    text += data.toString('latin1')
  })
  for (const piece of pieces) {
    socket.write(piece)
    await nextRound()
  }
  await closed
  return text
}

const cut = (bytes: Buffer, places: readonly number[]): readonly Buffer[] => {
  const sorted = [0, ...places.map((place) => place % bytes.length).sort((one, other) => one - other), bytes.length]
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
}

const sent = fc.record({
  rounds: fc.nat(roundsMax),
  reads: fc.constantFrom('at once', 'at once', 'never'),
  body: fc.oneof(
    fc.constant(''),
    fc.string({ maxLength: 50 }),
    fc.nat(150_000).map((length) => 'b\r\n\r\n'.repeat(length / 5)),
  ),
})
type Sent = { readonly rounds: number; readonly reads: string; readonly body: string }
const bytesOf = ({ rounds, reads, body }: Sent, index: number) =>
  `POST /r${index}/${rounds}/${encodeURIComponent(reads)} HTTP/1.1\r\nHost: x\r\n` +
  (body === '' ? '\r\n' : `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)

const quick: Sent = { rounds: 0, reads: 'at once', body: '' }
const goodbye = 'GET /bye/0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
test(
  'whatever a stream of requests is cut into, its answers are the same and in order',
  () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 60 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        async (requests, places) => {
          const { counts, port } = await start()
          const text = await answerTo(port, cut(Buffer.from(requests.map(bytesOf).join('') + goodbye), places))
          const expected = requests.map(({ reads, body }, index) => `r${index} ${reads === 'never' ? 'unread' : body}`)
          const found = text.split(/HTTP\/1\.1 200 OK\r\n/).slice(1)
          expect(found.map((one) => one.slice(one.indexOf('\r\n\r\n') + 4))).toEqual([...expected, 'bye '])
          expect(counts.largest).toBeLessThanOrEqual(sliceBytesMax)
          expect(counts.openMost).toBeLessThanOrEqual(requestsPerConnectionMax)
        },
      ),
      { numRuns: 60 },
    ),
  60_000,
)

test('what follows an upgrade, in any pieces, is left to the one that takes the connection over', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(sent, { maxLength: 20 }),
      fc.string({ minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 1_000 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (requests, text, times, places) => {
        const { port } = await start()
        const socket = open(port)
        let answers = 0
        let after: string | undefined
        const echoed = new Promise<string>((resolve) => {
          let all = ''
          socket.on('data', (data) => {
            all += data.toString('latin1')
            answers = all.split('HTTP/1.1 200 OK').length - 1
            const began = all.indexOf(upgraded)
            if (began >= 0) after = all.slice(began + upgraded.length)
            if (after !== undefined && after.length >= text.length * times) resolve(after)
          })
        })
        for (const piece of cut(Buffer.from(requests.map(bytesOf).join('') || '\r\n'), places)) socket.write(piece)
        // Node writes an upgrade without waiting for answers.
        while (answers < requests.length) await nextRound()
        const upgrade = 'GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
        for (const piece of cut(Buffer.from(upgrade + text.repeat(times), 'latin1'), places)) {
          socket.write(piece)
          await nextRound()
        }
        expect(await echoed).toBe(Buffer.from(text.repeat(times), 'latin1').toString('latin1'))
        socket.destroy()
      },
    ),
    { numRuns: 40 },
  ))

test('the requests of many connections begin in small numbers each time that the loop goes round', async () => {
  const { counts, port } = await start()
  const requests = Array.from({ length: 500 }, (_, index) => bytesOf({ rounds: 0, reads: 'at once', body: '' }, index))
  const bytes = Buffer.from(requests.join('') + goodbye)
  const texts = await Promise.all(Array.from({ length: 40 }, () => answerTo(port, [bytes])))
  for (const text of texts) expect(text.split('HTTP/1.1 200 OK').length - 1).toBe(requests.length + 1)
  // Those without a turn, and those with one; what is counted as a round may have the ends of two.
  expect(counts.inRoundMost).toBeLessThanOrEqual(2 * (requestsAtOnceMax + turnsPerRound * requestsPerConnectionMax))
})

test('nothing more is read while the first answer is awaited, and the rest after it', async () => {
  const { counts, port } = await start()
  const late = bytesOf({ rounds: 300, reads: 'at once', body: '' }, 0)
  const text = await answerTo(port, [Buffer.from(late + bytesOf(quick, 1).repeat(5_000) + goodbye)])
  expect(text.split('HTTP/1.1 200 OK').length - 1).toBe(5_002)
  expect(counts.openMost).toBeLessThanOrEqual(requestsPerConnectionMax)
})

test('what a connection sent before it ended is answered; what one sent that was destroyed is dropped', async () => {
  const { counts, port } = await start()
  const half = open(port)
  half.resume()
  half.end(bytesOf(quick, 1).repeat(1_000))
  const gone = open(port)
  gone.write(bytesOf({ rounds: 20, reads: 'at once', body: '' }, 1).repeat(2_000))
  await once(gone, 'data')
  gone.destroy()
  await once(half, 'close')
  for (let round = 0; round < 50; round += 1) await nextRound()
  expect(counts.open).toBe(0)
  expect(counts.begun).toBeLessThan(2_000)
})

test('what is no HTTP is refused', async () => {
  const { port } = await start()
  const text = await answerTo(port, [Buffer.from(`${bytesOf(quick, 1)}${'x'.repeat(10_000)}`)])
  expect(text).toMatch(/^HTTP\/1\.1 (200 OK|400 Bad Request)/)
})
