import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from '@jest/globals'
import { WebSocket } from 'ws'
import { eventually } from '../testing/eventually.ts'
import { createGatewayWorld } from '../testing/worlds/gateway.ts'
import { countSubscriptions, openServerSentEvents } from '../testing/worlds/gateway-streams.ts'

const closeMsMax = 2_000
const query = 'subscription { listingChanged { event } }'

test('closing ends every connection and subscription at once, with the code on which clients reconnect', async () => {
  const open = { count: 0 }
  const world = await createGatewayWorld({ services: ({ store }) => ({ store: countSubscriptions(store, open) }) })

  const client = world.socket()
  let socketClosed: unknown
  client.on('closed', (event) => {
    socketClosed = event
  })
  const overSocket = client.iterate({ query }).next()
  overSocket.catch(() => undefined)
  const events = await openServerSentEvents(world.url, { query })
  const overEvents = events.next()
  overEvents.catch(() => undefined)
  // A client that never answers a close frame.
  const silent = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  await new Promise((resolve) => silent.once('open', resolve))
  silent.pause()
  const idle = connect(world.port, '127.0.0.1')
  await new Promise((resolve) => idle.once('connect', resolve))
  // One that keeps its side open after an answer that ends the connection, of which Node has left the first.
  const lingering = ['CONNECT a:1 HTTP/1.1', 'GET /nothing HTTP/1.1', 'NONSENSE'].map((line) => {
    const socket = connect({ port: world.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write(`${line}\r\nHost: a:1\r\nConnection: close\r\n\r\n`)
    return socket
  })
  await Promise.all(lingering.map((socket) => once(socket, 'readable')))
  await eventually('both subscriptions are open', () => open.count === 2)

  const began = performance.now()
  await world.gateway.close()
  expect(performance.now() - began).toBeLessThan(closeMsMax)
  expect(socketClosed).toMatchObject({ code: 1001 })
  await expect(overSocket).rejects.toMatchObject({ code: 1001 })
  // Closed, not completed: the subscriber knows that it may have missed events.
  await expect(overEvents).rejects.toThrow()
  await eventually('no subscription is left', () => open.count === 0)
  await expect(fetch(`${world.url}/health`)).rejects.toThrow()

  silent.terminate()
  for (const socket of [idle, ...lingering]) socket.destroy()
  await client.dispose()
  await world.close()
})
