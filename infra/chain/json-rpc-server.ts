import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorCode } from '../system/errors.ts'
import { answer, type Caller, type Handle } from './json-rpc.ts'

/** The largest contract that a chain takes (EIP-3860) has 98 kB as text. */
const bodyBytesMax = 256 * 1024
const batchRequestsMax = 50
const answerBytesMax = 8 * 1024 * 1024
const connectionsMax = 100
const headersMsMax = 5_000
const requestMsMax = 10_000
const closeMsMax = 1_000

export type JsonRpcServer = { readonly url: string; close(): Promise<void> }

export type JsonRpcServerOptions = {
  /** When it is 0 any free one is used. */
  readonly port: number
  readonly handle: Handle
  /** The origins of the web pages that may call, such as "https://app.example.com". Without it, no page may. */
  readonly origins?: readonly string[]
  /** A client that sends it as "Authorization: Bearer …", and is no web page, is the owner. Without it, none is. */
  readonly ownerSecret?: string
  /** Fails with EADDRINUSE when the port is taken, and does not use another one. */
  readonly exactPort?: boolean
}

type Access = { readonly origins: ReadonlySet<string>; readonly ownerSecret: string | undefined }

/** Starts a server for JSON-RPC over HTTP, on 127.0.0.1 alone. Refuses bodies over 256 KiB (413), bodies that are not
 *  application/json (415), other hosts than this machine and origins that are not listed (403), and batches over 50
 *  requests. So no page that a browser of this machine shows reaches it, not even by a name that points here. */
export const serveJsonRpc = async (options: JsonRpcServerOptions): Promise<JsonRpcServer> => {
  const { port, handle, origins = [], ownerSecret, exactPort = false } = options
  const access: Access = { origins: new Set(origins), ownerSecret }
  const limits = { requestTimeout: requestMsMax, headersTimeout: headersMsMax }
  const server = createServer(limits, (request, response) => {
    respond(request, response, handle, access).catch(() => response.destroy())
  })
  server.maxConnections = connectionsMax
  const listen = async (wanted: number) => {
    server.listen(wanted, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(port).catch((error: unknown) => {
    if (errorCode(error) !== 'EADDRINUSE' || exactPort) throw error
    return listen(0)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      // Open requests are answered; idle connections would keep the server open forever.
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), closeMsMax)
      await closed
      clearTimeout(timer)
    },
  }
}

const respond = async (
  request: IncomingMessage,
  response: ServerResponse,
  handle: Handle,
  access: Access,
): Promise<void> => {
  const { origin } = request.headers
  const allowed = origin !== undefined && access.origins.has(origin)
  const end = (status: number, body?: string) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    response.writeHead(status, { ...(allowed ? corsHeaders(origin) : {}), ...type }).end(body)
  }
  if (!isThisMachine(request.headers.host) || (origin !== undefined && !allowed)) return end(403)
  if (request.method === 'OPTIONS') return end(204)
  if (request.method !== 'POST') return end(405)
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) return end(415)
  const body = await readBody(request)
  if (body === undefined) {
    response.setHeader('connection', 'close')
    return end(413)
  }
  const caller: Caller = origin === undefined && isOwner(request, access) ? 'owner' : 'guest'
  const answered = await answer(body, handle, { batchRequestsMax, answerBytesMax, caller })
  return answered === undefined ? end(204) : end(200, answered)
}

const corsHeaders = (origin: string) => ({
  'access-control-allow-origin': origin,
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': 'content-type',
  'access-control-allow-private-network': 'true',
  vary: 'origin',
})

/** Returns false for a name that someone else has pointed at this machine (DNS rebinding). */
const isThisMachine = (host: string | undefined): boolean =>
  /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i.test(host ?? '')

const isOwner = (request: IncomingMessage, { ownerSecret }: Access): boolean => {
  if (ownerSecret === undefined) return false
  const given = Buffer.from(request.headers.authorization ?? '')
  const expected = Buffer.from(`Bearer ${ownerSecret}`)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

const readBody = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  let bytes = 0
  // Not `for await`: leaving that early destroys the socket, and the client would never read the 413.
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bodyBytesMax) {
        request.pause()
        resolve(undefined)
      } else chunks.push(chunk)
    })
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.on('error', reject)
  })
}
