import type { IncomingMessage, ServerResponse } from 'node:http'
import { Failure } from '../domain/errors.ts'
import { withStatus } from './error-answers.ts'

/** Throws LENGTH_REQUIRED for a request whose body has no length in its head (the chunked coding of HTTP/1.1): each chunk
 *  is work, and 64 KiB on the wire have 10,000. Its connection ends with the answer, and nothing more is parsed of it. */
export const refuseChunks = ({ headers, socket }: IncomingMessage, answer: ServerResponse): void => {
  if (headers['transfer-encoding'] === undefined) return
  socket.pause()
  answer.setHeader('connection', 'close')
  throw new Failure('LENGTH_REQUIRED')
}

/** A body takes so much at first, and twice as much each time that it is full. */
const bodyBytesAtFirst = 16 * 1024

/** Resolves to the body of a request, read into memory of its own as it comes: what that takes depends on what has come,
 *  and not on what the head claims or on the number of pieces.
 *  @param grow takes so many more bytes from the quotas of the client, or returns false. Throws TOO_MANY_REQUESTS then,
 *    and an error with an HTTP status for a body that is longer than `bytesMax` or breaks off. */
export const readBody = async (
  request: IncomingMessage,
  { bytesMax, grow }: { readonly bytesMax: number; readonly grow: (bytes: number) => boolean },
): Promise<Buffer> => {
  // The HTTP parser takes what follows for the next request: no more than `length` bytes come.
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > bytesMax) throw withStatus(413, 'Request body is too large', { bytesMax: String(bytesMax) })
  let body = Buffer.alloc(0)
  let read = 0
  const makeRoom = (bytes: number) => {
    if (bytes <= body.length) return
    const size = Math.min(length, Math.max(bytes, 2 * body.length, bodyBytesAtFirst))
    if (!grow(size - body.length)) throw new Failure('TOO_MANY_REQUESTS')
    const larger = Buffer.allocUnsafeSlow(size)
    body.copy(larger, 0, 0, read)
    body = larger
  }
  try {
    // Its connection lives on: the refusal is sent on it.
    for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      makeRoom(read + piece.length)
      read += piece.copy(body, read)
    }
  } catch (error) {
    throw error instanceof Failure
      ? error
      : withStatus(400, 'Request body breaks off', { takes: 'as many bytes as its head says' })
  }
  return body.subarray(0, read)
}
