/** Where a program cannot listen: as a failure that names the setting, and tried before anything else is opened. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { Failure } from '../../domain/errors.ts'
import { errorCode } from './errors.ts'

/** An address to listen on, and the settings that name its parts. `hostVariable` is absent where no setting does. */
export type ListenAddress = {
  readonly host: string
  readonly port: number
  readonly hostVariable?: string
  readonly portVariable: string
}

const reasons: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine has no addresses of that family (IPv4 or IPv6)',
  EINVAL: 'this address cannot be listened on',
  ENOTFOUND: 'no address has this name',
  EAI_AGAIN: 'the name is not answered by any name server',
}

/** Returns the failure of a program that cannot listen because of a setting: PORT_TAKEN, or CONFIG_INVALID with the
 *  variable. Returns any other error as it is. */
export const listenFailureOf = (error: unknown, address: ListenAddress): unknown => {
  const { host, port, hostVariable, portVariable } = address
  const code = errorCode(error) ?? ''
  if (code === 'EADDRINUSE') return new Failure('PORT_TAKEN', { port: String(port), variable: portVariable }, error)
  if (code === 'EACCES' || code === 'EPERM') {
    const fix = 'take a port from 1024 on, or let this user open it'
    const details = { variable: portVariable, value: String(port), why: 'this user may not listen on this port', fix }
    return new Failure('CONFIG_INVALID', details, error)
  }
  const why = reasons[code] ?? (code.startsWith('EAI_') ? 'the name cannot be looked up' : undefined)
  if (why === undefined || hostVariable === undefined) return error
  return new Failure('CONFIG_INVALID', { variable: hostVariable, value: host, why: `${why} (${code})` }, error)
}

const listenAt = async (address: ListenAddress): Promise<Server> => {
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen({ host: address.host, port: address.port })
    await once(server, 'listening')
  } catch (error) {
    throw listenFailureOf(error, address)
  }
  return server
}

/** Listens for a moment. Throws what `listenFailureOf` returns. */
export const tryListening = async (address: ListenAddress): Promise<void> => {
  const server = await listenAt(address)
  server.close()
  await once(server, 'close')
}

/** An address that is this program's from its start on: between a look and the server another program could take it. */
export type KeptAddress = {
  /** Listens from now on, where it does not yet, and closes every connection. Throws what `listenFailureOf` returns. */
  take(): Promise<void>
  /** Returns what the server listens with instead, as options for its `listen`: nothing where none is kept. It is the
   *  server's then. The host is the address that the name has: of a name with several, a server would listen at each. */
  handOver(): { readonly handle?: unknown; readonly host?: string }
}

/** Makes an address that can be kept. With port 0 it is only tried, since the server gets any free one. */
export const keepAddress = (address: ListenAddress): KeptAddress => {
  let kept: Server | undefined
  return {
    async take() {
      if (address.port === 0) return tryListening(address)
      kept ??= (await listenAt(address)).unref()
    },
    handOver() {
      const handle = kept && '_handle' in kept ? kept._handle : undefined
      const address = kept?.address()
      kept = undefined
      return handle && typeof address === 'object' && address ? { handle, host: address.address } : {}
    },
  }
}
