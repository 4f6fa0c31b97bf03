// The contract on real servers: on the one of EVENTSTORE_URL, and on one in a container where there is Docker. They are shared
// and not empty; a case that needs an empty log has one of the server in this process.
import { afterAll, beforeAll, describe } from '@jest/globals'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { type CuttingProxy, startCuttingProxy } from '../../../testing/servers/cutting-proxy.ts'
import { whyNoDocker } from '../../../testing/servers/docker.ts'
import { leaveOut } from '../../../testing/servers/left-out.ts'
import { importTool } from '../../../testing/servers/tools.ts'
import type { Engine } from '../contract.ts'
import { eventStoreContract } from '../contract.ts'
import { eventStoreDbCapabilities, openEventStoreDb } from '../eventstoredb.ts'

const image = 'kurrentplatform/kurrentdb:25.0'
const containerMsMax = 300_000
const httpPort = 2113

const stops: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

/** A connection can be cut where all of it goes through one address that we may stand in for: with a cluster the client is told
 *  others, and a certificate holds for one name. */
const canStandIn = (url: string) => url.startsWith('esdb://') && !url.includes(',') && url.includes('tls=false')

const engineOn = (urlOf: () => string, canCut: boolean): Engine => {
  const open = () => openEventStoreDb({ url: urlOf() })
  let proxy: CuttingProxy | undefined
  return {
    capabilities: eventStoreDbCapabilities,
    // 20,000 for the three batch sizes together: each append is a round trip or two.
    tailedEvents: 7_000,
    open,
    openEmpty: async () => {
      const server: EventStoreDbServer = await startEventStoreDbServer()
      stops.push(server.stop)
      return openEventStoreDb({ url: server.url })
    },
    reopen: open,
    ...(canCut && {
      openCuttable: async () => {
        const url = new URL(urlOf())
        if (!proxy) {
          proxy = await startCuttingProxy({ host: url.hostname, port: Number(url.port || httpPort) })
          stops.push(proxy.stop)
        }
        const { port, cutNext } = proxy
        const stoodIn = urlOf().replace(url.host, `127.0.0.1:${port}`)
        return { store: await openEventStoreDb({ url: stoodIn }), cutNext }
      },
    }),
  }
}

const given = process.env.EVENTSTORE_URL?.trim().replace(/^kurrentdb/, 'esdb')
if (given)
  describe('on the server of EVENTSTORE_URL', () => eventStoreContract(engineOn(() => given, canStandIn(given))))
else leaveOut('the contract on a real server of EventStoreDB', 'EVENTSTORE_URL is not set')

type Container = {
  getHost(): string
  getMappedPort(port: number): number
  stop(): Promise<unknown>
}
type GenericContainer = {
  withExposedPorts(port: number): GenericContainer
  withEnvironment(environment: Record<string, string>): GenericContainer
  withStartupTimeout(ms: number): GenericContainer
  withWaitStrategy(strategy: unknown): GenericContainer
  start(): Promise<Container>
}
type Testcontainers = {
  readonly GenericContainer: new (image: string) => GenericContainer
  readonly Wait: { forHealthCheck(): unknown }
}

const why = await whyNoDocker()
if (why === undefined)
  describe(`on ${image} in a container`, () => {
    let url = ''
    beforeAll(async () => {
      const { GenericContainer, Wait } = (await importTool('testcontainers')) as Testcontainers
      const container = await new GenericContainer(image)
        .withExposedPorts(httpPort)
        .withEnvironment({
          KURRENTDB_INSECURE: 'true',
          KURRENTDB_MEM_DB: 'true',
          // Its links between streams are what must not be let out.
          KURRENTDB_RUN_PROJECTIONS: 'All',
          KURRENTDB_START_STANDARD_PROJECTIONS: 'true',
        })
        .withStartupTimeout(containerMsMax)
        .withWaitStrategy(Wait.forHealthCheck())
        .start()
      stops.push(() => container.stop())
      url = `esdb://${container.getHost()}:${container.getMappedPort(httpPort)}?tls=false`
    }, containerMsMax)
    eventStoreContract(engineOn(() => url, true))
  })
else leaveOut(`the contract on ${image} in a container`, why)
