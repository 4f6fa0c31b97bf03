import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type CuttingProxy = {
  readonly port: number
  /** Lets the next request through, and breaks all connections when the server begins to answer it. */
  cutNext(): void
  /** Returns how often that was done. */
  cuts(): number
  stop(): Promise<void>
}

/** Passes bytes to a server and back, on its own port of this machine, until `cutNext`. */
export const startCuttingProxy = async (target: { host: string; port: number }): Promise<CuttingProxy> => {
  const open = new Set<Socket>()
  let armed: 'no' | 'until a request' | 'until its answer' = 'no'

  let cuts = 0
  const cut = () => {
    armed = 'no'
    cuts += 1
    for (const socket of open) socket.destroy()
  }

  const server = createServer((client) => {
    const upstream = connect(target)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(one)
      one.setNoDelay()
      one.on('error', () => undefined)
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
      one.on('data', (bytes) => {
        if (one === upstream && armed === 'until its answer') return cut()
        if (one === client && armed === 'until a request') armed = 'until its answer'
        if (!other.write(bytes)) {
          one.pause()
          other.once('drain', () => one.resume())
        }
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cutNext: () => {
      armed = 'until a request'
    },
    cuts: () => cuts,
    stop: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
