import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocketServer } from 'ws'

/** How long a connection may take to become a WebSocket after it has asked for that. */
const upgradeMsMax = 5_000

/** Returns whether a request asks for a WebSocket at `path`. A request that asks for another protocol, or elsewhere, is
 *  answered as if it did not ask: RFC 9110, section 7.8. */
export const asksForWebSocket = ({ method, url = '', headers }: IncomingMessage, path: string): boolean =>
  method === 'GET' &&
  url.split('?', 1)[0] === path &&
  headers.upgrade?.toLowerCase() === 'websocket' &&
  headers['content-length'] === undefined &&
  headers['transfer-encoding'] === undefined

/** Ends each connection that asked for a WebSocket and does not soon become one: Node has left it, so that nothing else
 *  limits its time or notices that its client has gone. Returns the function that ends all that are under way. */
export const limitUpgrades = (
  server: Server,
  webSocketServer: WebSocketServer,
  msMax: number = upgradeMsMax,
): (() => void) => {
  const timers = new Map<Duplex, NodeJS.Timeout>()
  const forget = (socket: Duplex) => {
    clearTimeout(timers.get(socket))
    timers.delete(socket)
  }
  // Before the one that may make it a WebSocket at once.
  server.prependListener('upgrade', (_request, socket) => {
    timers.set(
      socket,
      setTimeout(() => socket.destroy(), msMax),
    )
    socket.once('close', () => forget(socket))
  })
  webSocketServer.on('connection', (_webSocket, { socket }) => forget(socket))
  server.on('request', ({ headers }, response) => {
    // What follows such a request in the same piece is dropped by the parser: after the end, the client sends it again.
    if (headers.upgrade !== undefined) response.shouldKeepAlive = false
  })
  return () => {
    for (const socket of timers.keys()) socket.destroy()
  }
}
