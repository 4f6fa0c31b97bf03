import { userActor } from '../commands/actor.ts'
import { importOffers } from '../commands/import-offers.ts'
import { submitJob } from '../commands/submit-job.ts'
import { createSignIn } from '../gateway/auth/sign-in.ts'
import { createHealth } from '../gateway/health.ts'
import { createGateway } from '../gateway/server.ts'
import type { Services } from '../gateway/services.ts'
import { endAndSettle } from '../processes/end-rental.ts'
import { rentGpu } from '../processes/rent-cheapest.ts'
import type { Platform } from './platform.ts'

const readyWaitMs = 1_000

/** Serves people and programs. Resolves to the address once it listens. Throws PORT_TAKEN. */
export const startGateway = async (platform: Platform): Promise<string> => {
  const { config, log, metrics, shutdown, store, commands, read, projections, chain, cluster, heartbeats, now } =
    platform
  const services: Services = {
    store,
    commands,
    read,
    rentGpu: (wish) => rentGpu({ commands, read, now }, wish),
    endRental: (rental, wallet) => endAndSettle({ commands, heartbeats, now }, rental, 'returned', userActor(wallet)),
    submitJob: (wish) => submitJob({ commands, now }, wish),
    importOffers: (request) => importOffers({ commands, now }, request),
    readJobLog: cluster.readLog,
    waitFor: projections.waitFor,
    projections,
    chain: chain.description,
    privileged: config,
    now,
  }
  let url = config.publicUrl ?? `http://${config.host}:${config.port}`
  const signIn = createSignIn({
    jwtSecret: platform.jwtSecret,
    publicUrl: () => url,
    chainId: chain.description.chainId,
    nonces: platform.cache,
    now,
  })
  const isUp = () =>
    platform.database.waitUntilReady(readyWaitMs).then(
      () => true,
      () => false,
    )
  const gateway = await createGateway({
    services,
    signIn,
    config,
    log: log.child({ part: 'gateway' }),
    metricsRegistry: metrics,
    health: createHealth({ projections, isUp, roles: config.roles, now }),
  })
  const listening = await gateway.listen()
  shutdown.add('gateway', gateway.close)
  url = config.publicUrl ?? listening.url
  return url
}
