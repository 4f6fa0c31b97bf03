import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A proxy of HTTP's CONNECT, through which the clients of EventStoreDB go that have its url as `grpc_proxy`: also to
 *  nodes that they learn of only from other nodes, and with TLS, because it passes bytes. */
export type Relay = {
  readonly url: string
  /** Breaks one of the connections, or all. Returns false when there is none. */
  cut(which: 'all' | number): boolean
  close(): Promise<void>
}

/** Starts it on a free port of this machine. */
export const startRelay = async (): Promise<Relay> => {
  const open = new Map<Duplex, Socket>()
  const server = createServer((_, response) => response.writeHead(405).end())
  server.on('connect', (request, client, head) => {
    const { hostname, port } = new URL(`http://${request.url}`)
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true })
    open.set(client, upstream)
    const end = () => {
      open.delete(client)
      client.destroy()
      upstream.destroy()
    }
    for (const one of [client, upstream]) one.on('error', end).on('close', end)
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.write(head)
      client.pipe(upstream).pipe(client)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: (which) => {
      const all = [...open]
      const some = which === 'all' ? all : all.slice(Math.floor(which * all.length)).slice(0, 1)
      for (const [client, upstream] of some) {
        client.destroy()
        upstream.resetAndDestroy()
      }
      return some.length > 0
    },
    close: async () => {
      for (const client of open.keys()) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
