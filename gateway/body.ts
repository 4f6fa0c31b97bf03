import type { IncomingMessage } from 'node:http'

const firstBytes = 4 * 1024
/** A body comes in at most so many pieces, and one more for each `pieceBytesMin` of it: what a piece costs does not
 *  depend on its size. */
const piecesFreeMax = 1_024
const pieceBytesMin = 64
/** After so many pieces the next ones wait for a turn. */
const piecesAtOnceMax = 256

/** Resolves to the body of a request, gathered in one piece of memory as it comes. Throws an error with an HTTP status
 *  for one that is longer than `bytesMax`, comes in too many pieces, or breaks off: then nothing more is read.
 *  @param turn resolves when the loop has time for more pieces; nothing is read meanwhile. */
export const readBody = (request: IncomingMessage, bytesMax: number, turn: () => Promise<void>): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { socket } = request
    let body = Buffer.allocUnsafeSlow(firstBytes)
    let [length, pieces, atOnce, hasEnded] = [0, 0, 0, false]
    const makeRoom = (bytes: number) => {
      if (bytes <= body.length) return
      const larger = Buffer.allocUnsafeSlow(Math.min(bytesMax, Math.max(bytes, 2 * body.length)))
      body.copy(larger, 0, 0, length)
      body = larger
    }
    const wait = () => {
      socket.pause()
      void turn().then(() => {
        atOnce = 0
        if (!hasEnded) socket.resume()
      })
    }
    const take = (piece: Buffer) => {
      pieces += 1
      atOnce += 1
      if (length + piece.length > bytesMax) return end(withStatus(413, 'Request body is too large'))
      if (pieces > piecesFreeMax + length / pieceBytesMin)
        return end(withStatus(400, 'Request body comes in too many pieces'))
      makeRoom(length + piece.length)
      length += piece.copy(body, length)
      if (atOnce === piecesAtOnceMax) wait()
    }
    const end = (error?: Error) => {
      if (hasEnded) return
      hasEnded = true
      request.off('data', take)
      if (error) {
        socket.pause()
        reject(error)
        return
      }
      socket.resume()
      resolve(body.subarray(0, length))
    }
    request.on('data', take)
    request.once('end', () => end())
    request.once('error', () => end(withStatus(400, 'Request body breaks off')))
    request.once('close', () => end(withStatus(400, 'Request body breaks off')))
    if (socket.isPaused()) wait()
  })

const withStatus = (statusCode: number, message: string): Error => Object.assign(new Error(message), { statusCode })
