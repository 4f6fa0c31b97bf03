import { once } from 'node:events'
import { createServer } from 'node:net'

/** Resolves to a port of 127.0.0.1 on which nothing listens now. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
