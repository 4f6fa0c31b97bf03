import { isFailure } from '../domain/errors.ts'
import type { Config } from '../infra/config.ts'
import { type KeptAddress, keepAddress, tryListening } from '../infra/system/listening.ts'

export type Addresses = {
  /** The address of the gateway, where this process has that role: kept from the first `take` on. */
  readonly gateway: KeptAddress | undefined
  readonly all: readonly { readonly host: string; readonly port: number; readonly take: () => Promise<void> }[]
  /** Takes all. Throws CONFIG_INVALID where this process cannot listen, and PORT_TAKEN where the gateway cannot: the chain
   *  takes another port then. */
  take(): Promise<void>
}

/** Returns the addresses that this process listens on. */
export const addressesOf = ({ host, port, roles, chain }: Config): Addresses => {
  const gateway = roles.includes('gateway')
    ? keepAddress({ host, port, hostVariable: 'HOST', portVariable: 'PORT' })
    : undefined
  const chainAt = { host: '127.0.0.1', port: chain.kind === 'rpc' ? 0 : chain.port, portVariable: 'CHAIN_PORT' }
  const takeChain = () => tryListening(chainAt)
  return {
    gateway,
    all: [
      ...(gateway ? [{ host, port, take: gateway.take }] : []),
      ...(chain.kind === 'rpc' ? [] : [{ ...chainAt, take: takeChain }]),
    ],
    async take() {
      await gateway?.take()
      if (chain.kind === 'rpc') return
      await takeChain().catch((error) => {
        if (!isFailure(error, 'PORT_TAKEN')) throw error
      })
    },
  }
}
