import type { WebSocket } from 'ws'

/** How long a client has to receive the reason why its socket ends. */
const closeMsMax = 500

/** Closes a socket with a code, reads nothing more from it, and ends it soon, whatever its client does. */
export const endSocket = (socket: WebSocket, code: number, reason: string): void => {
  if (socket.readyState !== socket.OPEN) return
  socket.close(code, reason)
  socket.pause()
  setTimeout(() => socket.terminate(), closeMsMax).unref()
}
