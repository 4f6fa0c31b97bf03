import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorCode } from '../system/errors.ts'
import { answer, type Handle } from './json-rpc.ts'

const bodyBytesMax = 1024 * 1024
const batchRequestsMax = 100
const requestMsMax = 30_000

/** Wallets in a browser call from any page. */
const headers = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, OPTIONS',
  'access-control-allow-headers': 'content-type',
  'access-control-allow-private-network': 'true',
}

export type JsonRpcServer = { readonly url: string; close(): Promise<void> }

/** Starts a server for JSON-RPC over HTTP, on 127.0.0.1 alone. When the port is taken, any free one is used.
 *  Refuses bodies over 1 MiB (413) and batches over 100 requests. */
export const serveJsonRpc = async ({ port, handle }: { port: number; handle: Handle }): Promise<JsonRpcServer> => {
  const server = createServer({ requestTimeout: requestMsMax }, (request, response) => {
    respond(request, response, handle).catch(() => response.destroy())
  })
  const listen = async (wanted: number) => {
    server.listen(wanted, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(port).catch((error: unknown) => {
    if (errorCode(error) !== 'EADDRINUSE') throw error
    return listen(0)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      // Open requests are answered; idle connections would keep the server open forever.
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), 1_000)
      await closed
      clearTimeout(timer)
    },
  }
}

const respond = async (request: IncomingMessage, response: ServerResponse, handle: Handle): Promise<void> => {
  const end = (status: number, body?: object) => {
    const type = body ? { 'content-type': 'application/json' } : {}
    response.writeHead(status, { ...headers, ...type }).end(body ? JSON.stringify(body) : undefined)
  }
  if (request.method === 'OPTIONS') return end(204)
  if (request.method !== 'POST') return end(405)
  const body = await readBody(request)
  if (body === undefined) {
    response.setHeader('connection', 'close')
    return end(413)
  }
  const answered = await answer(body, handle, { batchRequestsMax })
  return answered === undefined ? end(204) : end(200, answered)
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
