import { createSignIn } from '../gateway/auth/sign-in.ts'
import { createHealth } from '../gateway/health.ts'
import { createGateway } from '../gateway/server.ts'
import { createServices } from '../gateway/services.ts'
import type { Platform } from './platform.ts'

const readyWaitMs = 1_000

/** Starts the gateway. Resolves to its URL for clients once it listens. Throws PORT_TAKEN, and
 *  CONFIG_INVALID where HOST or PORT cannot be listened on. */
export const startGateway = async (platform: Platform): Promise<string> => {
  const { config, log, metrics, shutdown, projections, chain, now } = platform
  // Replaced below, once the gateway listens and its address is known.
  let url = config.publicUrl ?? `http://${config.host}:${config.port}`
  const signIn = createSignIn({
    jwtSecret: platform.jwtSecret,
    publicUrl: () => url,
    chainId: chain.description.chainId,
    usedNonces: platform.usedNonces,
    hasSigned: chain.hasSigned,
    now,
  })
  const isUp = () =>
    platform.database.waitUntilReady(readyWaitMs).then(
      () => true,
      () => false,
    )
  const gateway = await createGateway({
    services: createServices(platform),
    signIn,
    config,
    log: log.child({ part: 'gateway' }),
    metricsRegistry: metrics,
    address: platform.address,
    health: createHealth({
      projections,
      parkedTasks: platform.parkedTasks,
      custody: platform.chainCursor.loadCustody,
      isUp,
      isFull: platform.database.isFull,
      hasLogServer: config.eventStoreUrl !== undefined,
      roles: config.roles,
      now,
    }),
  })
  const listening = await gateway.listen()
  shutdown.add('gateway', gateway.close)
  url = config.publicUrl ?? listening.url
  return url
}
