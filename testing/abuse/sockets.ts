// What one guest does with WebSockets.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import {
  type Attack,
  ask,
  attackerAddress,
  bystanderAddress,
  inUse,
  onlyCodes,
  type Target,
  times,
  unless,
} from './attack.ts'

const subscription = 'subscription { listingChanged { position } }'
const socketsPerAddressMax = 300
const operationsPerAddressMax = 500

/** Opens a socket and resolves to it when the gateway has accepted its connection_init; undefined when it is closed or
 *  refused before. */
const open = async (
  target: Target,
  from = attackerAddress,
  init = '{"type":"connection_init"}',
): Promise<WebSocket | undefined> => {
  const socket = new WebSocket(`${target.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    localAddress: from,
  })
  socket.on('error', () => undefined)
  const closed = once(socket, 'close').then(() => undefined)
  const acknowledged = once(socket, 'open').then(async () => {
    socket.send(init)
    await once(socket, 'message')
    return socket
  })
  acknowledged.catch(() => undefined)
  return Promise.race([acknowledged, closed])
}

const subscribe = (socket: WebSocket, id: string) =>
  socket.send(JSON.stringify({ type: 'subscribe', id, payload: { query: subscription } }))

const end = (sockets: readonly (WebSocket | undefined)[]) => {
  for (const socket of sockets) socket?.terminate()
}

/** Resolves to a complaint unless another guest can open a socket and subscribe. */
const othersConnect = async (target: Target): Promise<readonly string[]> => {
  const socket = await open(target, bystanderAddress)
  if (socket === undefined) return ['another guest could not open a socket']
  const refused = once(socket, 'message').then(([data]) => String(data))
  subscribe(socket, 'other')
  const answer = await Promise.race([refused, delay(500, undefined)])
  socket.terminate()
  return unless(answer === undefined, `another guest could not subscribe: ${answer}`)
}

const storm: Attack = {
  name: 'subscribe and complete the same id, 6,000 times',
  run: async (target) => {
    const sockets = await times(target.much(20, 3), 5, () => open(target))
    for (const socket of sockets)
      for (let round = 0; round < 300 && socket?.readyState === WebSocket.OPEN; round++) {
        subscribe(socket, 'a')
        socket.send('{"type":"complete","id":"a"}')
        if (round % 40 === 39) await delay(20)
      }
    await delay(500)
    const running = await inUse(target, 'operations')
    end(sockets)
    return unless(running <= operationsPerAddressMax, `${running} operations of one address ran`)
  },
}

const pings: Attack = {
  name: '400 pings of 1 MB whose answers are not read',
  run: async (target) => {
    const payload = 'p'.repeat(1_000_000)
    const sockets = await times(4, 4, () => open(target))
    for (let round = 0; round < target.much(100, 10); round++)
      for (const socket of sockets) {
        if (socket?.readyState !== WebSocket.OPEN) continue
        socket.pause()
        socket.send(JSON.stringify({ type: 'ping', payload: { payload } }))
        socket.ping('x'.repeat(125))
        await delay(2)
      }
    const served = await othersConnect(target)
    end(sockets)
    return served
  },
}

const many: Attack = {
  name: '1,500 sockets and 20,000 subscriptions of one guest',
  run: async (target) => {
    const sockets = await times(target.much(1_500, 400), 50, () => open(target))
    const opened = sockets.filter((socket) => socket?.readyState === WebSocket.OPEN)
    for (let index = 0; index < target.much(20_000, 1_500); index++) {
      const socket = opened[index % opened.length]
      if (socket?.readyState === WebSocket.OPEN) subscribe(socket, String(index))
      if (index % 200 === 199) await delay(5)
    }
    await delay(1_000)
    const [held, running] = [await inUse(target, 'sockets'), await inUse(target, 'operations')]
    const served = await othersConnect(target)
    end(sockets)
    return [
      ...unless(held <= socketsPerAddressMax, `one address holds ${held} sockets`),
      ...unless(running <= operationsPerAddressMax, `one address runs ${running} operations`),
      ...served,
    ]
  },
}

/** Returns JSON of a megabyte that takes thirty times as much once it is parsed. */
const manyObjects = (item: string) => `[${Array.from({ length: 1_000_000 / (item.length + 1) }, () => item).join()}]`

const inits: Attack = {
  name: '290 sockets whose first message has a megabyte of empty objects',
  run: async (target) => {
    const init = `{"type":"connection_init","payload":{"x":${manyObjects('{}')}}}`
    const sockets = await times(target.much(290, 8), 4, () => open(target, attackerAddress, init))
    await delay(1_000)
    const served = await othersConnect(target)
    end(sockets)
    return served
  },
}

const variables: Attack = {
  name: '200 subscriptions with a megabyte of variables that they do not declare',
  run: async (target) => {
    const sockets = await times(20, 4, () => open(target))
    for (let index = 0; index < target.much(200, 20); index++) {
      const socket = sockets[index % sockets.length]
      const payload = `{"query":${JSON.stringify(subscription)},"variables":{"x":${manyObjects(index % 2 ? '[]' : '{}')}}}`
      if (socket?.readyState === WebSocket.OPEN)
        socket.send(`{"type":"subscribe","id":"${index}","payload":${payload}}`)
      await delay(10)
    }
    await delay(1_000)
    const served = await othersConnect(target)
    end(sockets)
    return served
  },
}

const resuming: Attack = {
  name: '500 subscriptions of one guest that resume at the beginning of the log',
  run: async (target) => {
    const head = (await ask(target, '{ head }')).data.head as string
    const after = head.replace(/\d+$/, (digits) => '0'.repeat(digits.length))
    const query = 'subscription ($after: Position) { listingChanged(gpu: "nothing", after: $after) { position } }'
    const sockets = await times(5, 5, () => open(target))
    for (let index = 0; index < target.much(500, 20); index++)
      sockets[index % sockets.length]?.send(
        JSON.stringify({ type: 'subscribe', id: String(index), payload: { query, variables: { after } } }),
      )
    const answers = await times(target.much(200, 10), 2, () =>
      ask(target, '{ listings { nodes { id } } }', {}, { from: bystanderAddress }),
    )
    const served = await othersConnect(target)
    end(sockets)
    return [...onlyCodes(answers, [undefined]), ...served]
  },
}

export const socketAttacks: readonly Attack[] = [storm, pings, many, inits, variables, resuming]
