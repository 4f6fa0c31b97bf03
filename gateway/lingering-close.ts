import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** How long a client that still sends has to take the answer before its connection ends. */
const lingerMsMax = 5_000
/** So much of what it still sends is read, and dropped. */
const lingerBytesMax = 16 * 1024 * 1024

/** Ends a connection once its client has taken the answer: what it sends meanwhile is read and dropped. Linux would throw
 *  an answer away together with a connection that is closed with something unread. */
export const closeLingering = (socket: Duplex): void => {
  socket.removeAllListeners('data')
  socket.end()
  let left = lingerBytesMax
  socket.on('data', (data: Buffer) => {
    left -= data.length
    if (left < 0) socket.destroy()
  })
  socket.resume()
  socket.once('end', () => socket.destroy())
  const timer = setTimeout(() => socket.destroy(), lingerMsMax).unref()
  socket.once('close', () => clearTimeout(timer))
}

/** Lets each connection that a server ends with an answer linger, as `closeLingering` does: a request may be refused
 *  before all of it has come. */
export const lingerConnections = (server: Server): void => {
  server.on('connection', (socket: Socket) => {
    // Node calls it after the answer with "connection: close".
    socket.destroySoon = () => closeLingering(socket)
  })
}
