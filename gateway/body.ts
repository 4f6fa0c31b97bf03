import type { IncomingMessage, ServerResponse } from 'node:http'
import { Failure } from '../domain/errors.ts'

/** Throws LENGTH_REQUIRED for a request whose body has no length in its head (the chunked coding of HTTP/1.1): each chunk
 *  is work, and 64 KiB on the wire have 10,000. Its connection ends with the answer, and nothing more is read from it. */
export const refuseChunks = ({ headers, socket }: IncomingMessage, answer: ServerResponse): void => {
  if (headers['transfer-encoding'] === undefined) return
  socket.pause()
  answer.setHeader('connection', 'close')
  // At once: Node reads on until the connection is closed from both sides.
  answer.once('finish', () => socket.destroy())
  throw new Failure('LENGTH_REQUIRED')
}

/** Resolves to the body of a request, read into memory of its own as it comes: what that takes does not depend on the
 *  number of pieces. Throws an error with an HTTP status for one that is longer than `bytesMax` or breaks off. */
export const readBody = async (request: IncomingMessage, bytesMax: number): Promise<Buffer> => {
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > bytesMax) throw withStatus(413, 'Request body is too large')
  const body = Buffer.allocUnsafeSlow(length)
  let read = 0
  try {
    // Of no more than `length` bytes: the HTTP parser takes what follows for the next request.
    for await (const piece of request as AsyncIterable<Buffer>) read += piece.copy(body, read)
  } catch {
    throw withStatus(400, 'Request body breaks off')
  }
  return body
}

const withStatus = (statusCode: number, message: string): Error => Object.assign(new Error(message), { statusCode })
