import type { Socket } from 'node:net'
import { createQuotas, type Quotas, type User } from './quotas.ts'

const mebibyte = 1024 * 1024
/** They suit a laptop. A setting per address that is larger raises the total with it. */
const limits = {
  connectionsMax: 2_000,
  operationsPerUserMax: 500,
  operationsMax: 5_000,
  requestBytesPerAddressMax: 64 * mebibyte,
  requestBytesMax: 256 * mebibyte,
}

/** What is counted by address. */
export const connectionKinds = ['sockets', 'requests', 'operations', 'requestBytes'] as const
type Kind = (typeof connectionKinds)[number]
export type ConnectionSettings = {
  readonly connectionsPerAddress: number
  readonly operationsPerAddress: number
  /** Of ours, before the gateway. */
  readonly proxies: number
}

export type Connections = {
  readonly quotas: Quotas<Kind>
  /** Returns whether one more connection may be accepted: the bound is on what the machine holds open. */
  accept(socket: Socket): boolean
}

/** Makes the limits on what clients use at once: per address, per wallet and in total. */
export const createConnections = ({
  connectionsPerAddress,
  operationsPerAddress,
  proxies,
}: ConnectionSettings): Connections => {
  const perConnection = {
    perAddressMax: connectionsPerAddress,
    perUserMax: connectionsPerAddress,
    totalMax: Math.max(connectionsPerAddress, limits.connectionsMax),
  }
  const quotas = createQuotas<Kind | 'open'>({
    sockets: perConnection,
    requests: perConnection,
    // WebSockets, requests and connections that are kept alive.
    open: { ...perConnection, perAddressMax: 3 * connectionsPerAddress, totalMax: 3 * perConnection.totalMax },
    operations: {
      perAddressMax: operationsPerAddress,
      perUserMax: Math.max(operationsPerAddress, limits.operationsPerUserMax),
      totalMax: Math.max(operationsPerAddress, limits.operationsMax),
    },
    requestBytes: {
      perAddressMax: limits.requestBytesPerAddressMax,
      perUserMax: limits.requestBytesPerAddressMax,
      totalMax: limits.requestBytesMax,
    },
  })
  return {
    quotas,
    accept: (socket) => {
      // All connections of a proxy have its address.
      const giveBack = quotas.take('open', proxies > 0 ? {} : { address: socket.remoteAddress })
      if (giveBack) socket.once('close', giveBack)
      return giveBack !== undefined
    },
  }
}

/** Takes an operation with its bytes, or neither. */
export const takeOperation = (quotas: Quotas<Kind>, user: User, bytes: number): (() => void) | undefined => {
  const giveBackBytes = quotas.take('requestBytes', user, bytes)
  if (giveBackBytes === undefined) return undefined
  const giveBack = quotas.take('operations', user)
  if (giveBack === undefined) {
    giveBackBytes()
    return undefined
  }
  return () => {
    giveBack()
    giveBackBytes()
  }
}
