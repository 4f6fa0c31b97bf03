import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How long a client that still sends has to take the answer before its connection ends. */
const lingerMsMax = 5_000
/** So much of what it still sends is read, and dropped. */
const lingerBytesMax = 16 * 1024 * 1024

/** Ends a connection once its client has taken the answer: what it sends meanwhile is read and dropped. Linux would throw
 *  an answer away together with a connection that is closed with something unread. */
const closeLingering = (socket: Socket): void => {
  socket.removeAllListeners('data')
  socket.end()
  let left = lingerBytesMax
  socket.on('data', (data: Buffer) => {
    left -= data.length
    if (left < 0) socket.destroy()
    else socket.pause()
  })
  // A piece each time that the loop goes round, also where Node has it pause: many such connections must not hold up all others.
  socket.on('pause', () => setImmediate(() => socket.resume()))
  socket.resume()
  socket.once('end', () => socket.destroy())
  const timer = setTimeout(() => socket.destroy(), lingerMsMax).unref()
  socket.once('close', () => clearTimeout(timer))
}

/** Has `destroySoon` of each connection wait until its client has taken the answer, at most 5 seconds: a request may be
 *  refused before all of it has come. Requests behind that answer are answered no more.
 *  @param answersOf returns the responses of a connection that are under way.
 *  @returns the function that ends all connections that wait so. */
export const lingerConnections = (
  server: Server,
  answersOf: (socket: Socket) => Iterable<ServerResponse>,
): (() => Promise<void>) => {
  const lingering = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    // Node calls it after the answer with "connection: close".
    socket.destroySoon = () => {
      lingering.add(socket)
      socket.once('close', () => lingering.delete(socket))
      closeLingering(socket)
      // One that has the connection would end it.
      for (const answer of answersOf(socket)) if (answer.socket === null) answer.destroy().emit('close')
    }
  })
  return async () => {
    for (const socket of lingering) socket.destroy()
  }
}
