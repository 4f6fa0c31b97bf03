import { EventEmitter } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { WebSocket } from 'ws'
import { createTransport, operationsPerSocketMax } from './transport.ts'

/** Makes a socket whose client takes nothing until `drain`. */
const createSocket = () => {
  const emitter = new EventEmitter()
  const sent: string[] = []
  const closed: (number | undefined)[] = []
  const waiting: (() => void)[] = []
  const socket = Object.assign(emitter, {
    OPEN: 1,
    readyState: 1,
    protocol: 'graphql-transport-ws',
    bufferedAmount: 0,
    isPaused: false,
    send: (data: string | Buffer, _: object, done: () => void) => {
      sent.push(String(data))
      socket.bufferedAmount += data.length
      waiting.push(done)
    },
    pause: () => {
      socket.isPaused = true
    },
    resume: () => {
      socket.isPaused = false
    },
    close: (code?: number) => {
      closed.push(code)
      socket.readyState = 3
    },
    terminate: () => closed.push(undefined),
  })
  const drain = () => {
    socket.bufferedAmount = 0
    for (const done of waiting.splice(0)) done()
  }
  return { socket, sent, closed, drain }
}

/** Connects a server that runs each operation until the client completes it, or until it has answered. */
const createWorld = (
  operationsMax = Number.POSITIVE_INFINITY,
  messagesMax = Number.POSITIVE_INFINITY,
  answersMax = Number.POSITIVE_INFINITY,
) => {
  let messagesLeft = messagesMax
  let answersLeft = answersMax
  const { socket, sent, closed, drain } = createSocket()
  const running = new Map<string, () => void>()
  let taken = 0
  const begin = () => {
    if (taken >= operationsMax) return undefined
    taken += 1
    return () => {
      taken -= 1
    }
  }
  const turns: (() => void)[] = []
  const transport = createTransport(socket as unknown as WebSocket, {
    begin,
    buffer: () => (answersLeft-- > 0 ? () => answersLeft++ : undefined),
    turn: () => new Promise((resolve) => turns.push(resolve)),
    hasTime: () => messagesLeft-- > 0,
    onError: (error) => {
      throw error
    },
  })
  const heard: unknown[] = []
  transport.onMessage(async (data) => {
    const { type, id } = JSON.parse(data)
    if (type === 'connection_init') heard.push(JSON.parse(data))
    if (type === 'complete') running.get(id)?.()
    if (type !== 'subscribe') return
    await new Promise<void>((resolve) => {
      expect(running.has(id)).toBe(false)
      running.set(id, resolve)
    })
    running.delete(id)
  })
  const receive = (message: object) => socket.emit('message', Buffer.from(JSON.stringify(message)))
  const giveTurn = async () => {
    turns.shift()?.()
    await settled()
  }
  return { socket, sent, closed, drain, running, receive, transport, giveTurn, heard, taken: () => taken }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('operations', () => {
  test('whose id is used again and again each end when they are completed', async () => {
    const ids = fc.constantFrom('a', 'b', 'c')
    const step = fc.record({ type: fc.constantFrom('subscribe', 'complete'), id: ids })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const world = createWorld()
        const open = new Set<string>()
        for (const { type, id } of steps) {
          if (type === 'subscribe' && open.has(id)) continue
          if (type === 'subscribe') open.add(id)
          else open.delete(id)
          world.receive({ id, type, payload: { query: 'x' } })
        }
        await settled()
        expect([world.running.size, world.taken(), world.closed]).toEqual([open.size, open.size, []])
      }),
    )
  })

  test('with an id that is in use close the socket', () => {
    const { receive, closed } = createWorld()
    for (let count = 0; count < 2; count += 1) receive({ id: 'a', type: 'subscribe', payload: { query: 'x' } })
    expect(closed).toEqual([4409])
  })

  test.each([
    ['of the socket', Number.POSITIVE_INFINITY, operationsPerSocketMax],
    ['of the address', 7, 7],
  ])('beyond the quota %s are refused with a code, under their own ids', (_, quota, max) => {
    const { receive, sent, running } = createWorld(quota)
    for (let count = 0; count <= max; count += 1)
      receive({ id: `o${count}`, type: 'subscribe', payload: { query: 'x' } })
    expect(running.size).toBe(max)
    expect(sent.map((text) => JSON.parse(text))).toEqual([
      {
        id: `o${max}`,
        type: 'error',
        payload: [expect.objectContaining({ extensions: expect.objectContaining({ code: 'TOO_MANY_REQUESTS' }) })],
      },
    ])
  })

  test('get their answers under the ids of the client, and none after they were completed', async () => {
    const { receive, sent, transport, running } = createWorld()
    const id = 'the "client" \u2028'
    receive({ id, type: 'subscribe', payload: { query: 'x' } })
    const [own = ''] = running.keys()
    void transport.send(JSON.stringify({ id: own, type: 'next', payload: { data: 1 } }))
    receive({ id, type: 'complete' })
    void transport.send(JSON.stringify({ id: own, type: 'next', payload: { data: 2 } }))
    await settled()
    expect(sent.map((text) => JSON.parse(text))).toEqual([{ id, type: 'next', payload: { data: 1 } }])
  })

  test.each([
    { type: 'subscribe' },
    { type: 'subscribe', id: 7 },
    { type: 'complete', id: '' },
    { type: 'subscribe', id: 'x'.repeat(101) },
  ])('without an id are no messages: %j', (message) => {
    const { receive, closed } = createWorld()
    receive(message)
    expect(closed).toEqual([4400])
  })
})

test('of the first message only the token goes on', () => {
  const { receive, heard } = createWorld()
  const payload = { authorization: 'Bearer a', x: [{}, {}], token: 7, constructor: {} }
  receive({ type: 'connection_init', payload })
  receive({ type: 'connection_init' })
  expect(heard).toEqual([
    { type: 'connection_init', payload: { authorization: 'Bearer a', token: null } },
    { type: 'connection_init', payload: {} },
  ])
})

test('answers that the client does not take are counted, and one beyond the quota ends the socket', () => {
  const { transport, socket, closed, drain } = createWorld(9, 9, 2)
  const answer = JSON.stringify({ type: 'next', payload: 'x'.repeat(5_000) })
  socket.bufferedAmount = 1
  for (let count = 0; count < 2; count += 1) void transport.send(answer)
  expect(closed).toEqual([])
  drain()
  for (let count = 0; count < 2; count += 1) void transport.send(answer)
  expect(closed).toEqual([])
  void transport.send(answer)
  expect(closed).toContain(4408)
})

test('a message that takes very much memory once it is parsed closes the socket', async () => {
  const { receive, closed, running, giveTurn } = createWorld()
  receive({ id: 'a', type: 'subscribe', payload: { query: 'x', variables: { x: Array(300_000).fill({}) } } })
  await settled()
  await giveTurn()
  expect(closed).toEqual([4400])
  expect(running.size).toBe(0)
})

test('a ping is answered without its payload, and a flood of messages closes the socket', () => {
  const { receive, sent, closed } = createWorld()
  for (let count = 0; count < 1_000; count += 1) receive({ type: 'ping', payload: { text: 'x'.repeat(10_000) } })
  expect(new Set(sent)).toEqual(new Set(['{"type":"pong"}']))
  expect(sent.length).toBeLessThan(500)
  expect(closed[0]).toBe(4429)
})

test('long messages wait for a turn each, nothing is read meanwhile, and all keep their order', () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 12 }), async (areLong) => {
      const { socket, receive, running, giveTurn, closed } = createWorld()
      const paused: boolean[] = []
      areLong.forEach((isLong, index) => {
        receive({ id: `o${index}`, type: 'subscribe', payload: { query: 'x'.repeat(isLong ? 20_000 : 10) } })
        paused.push(socket.isPaused)
      })
      const first = areLong.indexOf(true)
      const atOnce = first === -1 ? areLong.length : first
      expect(paused).toEqual(areLong.map((_, index) => index >= atOnce))
      for (let taken = 0; taken <= areLong.length - atOnce; taken += 1) {
        expect(running.size).toBe(atOnce + taken)
        expect(socket.isPaused).toBe(atOnce + taken < areLong.length)
        await settled()
        await giveTurn()
      }
      expect(closed).toEqual([])
    }),
  ))

test('short messages beyond those of one round of the loop wait for a turn, in their order', async () => {
  const { socket, receive, running, giveTurn } = createWorld(Number.POSITIVE_INFINITY, 3)
  for (let index = 0; index < 6; index += 1) receive({ id: `o${index}`, type: 'subscribe', payload: { query: 'x' } })
  expect([running.size, socket.isPaused]).toEqual([3, true])
  await settled()
  for (const expected of [4, 5, 6]) {
    await giveTurn()
    expect(running.size).toBe(expected)
  }
  expect(socket.isPaused).toBe(false)
})

test('nothing is read while the client takes nothing, and a client that takes nothing at all is cut off', () => {
  const { socket, transport, closed, drain } = createWorld()
  const answer = JSON.stringify({ type: 'next', payload: 'x'.repeat(700_000) })
  for (let count = 0; count < 2; count += 1) void transport.send(answer)
  expect(socket.isPaused).toBe(true)
  drain()
  expect(socket.isPaused).toBe(false)
  for (let count = 0; count < 100; count += 1) void transport.send(answer)
  expect(closed[0]).toBe(4408)
  expect(socket.bufferedAmount).toBeLessThan(30 * 1024 * 1024)
})
