// The contract on real servers: on the server of EVENTSTORE_URL, and, with Docker, on one in a container. They are
// shared and not empty; a case that needs an empty log uses the server in this process.
import { afterAll, beforeAll, describe } from '@jest/globals'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { type CuttingProxy, startCuttingProxy } from '../../../testing/servers/cutting-proxy.ts'
import { whyNoDocker } from '../../../testing/servers/docker.ts'
import { leaveOut } from '../../../testing/servers/left-out.ts'
import { importTool } from '../../../testing/servers/tools.ts'
import type { Engine } from '../contract.ts'
import { eventStoreContract } from '../contract.ts'
import { eventStoreDbCapabilities, openEventStoreDb } from '../eventstoredb.ts'
import { decisionCases } from './decisions.testing.ts'

const image = 'kurrentplatform/kurrentdb:25.0'
const containerMsMax = 300_000
const httpPort = 2113

const stops: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
})

/** Returns true when a proxy can stand between client and server, to cut the connection: not with a cluster, because
 *  that gives the client other addresses, and not with TLS, because its certificate is valid for one name. */
const canProxy = (url: string) => url.startsWith('esdb://') && !url.includes(',') && url.includes('tls=false')

const engineOn = (urlOf: () => string, canCut: boolean): Engine => {
  const open = () => openEventStoreDb({ url: urlOf() })
  let proxy: CuttingProxy | undefined
  return {
    capabilities: eventStoreDbCapabilities,
    // About 20,000 for the three batch sizes together: each append is one or two round trips.
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
        const { port, cutNext, cuts } = proxy
        const before = cuts()
        const proxied = urlOf().replace(url.host, `127.0.0.1:${port}`)
        return { store: await openEventStoreDb({ url: proxied }), cutNext, cuts: () => cuts() - before }
      },
    }),
  }
}

const url = process.env.EVENTSTORE_URL?.trim().replace(/^kurrentdb/, 'esdb')
if (url)
  describe('on the server of EVENTSTORE_URL', () => {
    eventStoreContract(engineOn(() => url, canProxy(url)))
    decisionCases(() => url)
  })
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

const whySkipped = await whyNoDocker()
if (whySkipped === undefined)
  describe(`on ${image} in a container`, () => {
    let url = ''
    beforeAll(async () => {
      const { GenericContainer, Wait } = (await importTool('testcontainers')) as Testcontainers
      const container = await new GenericContainer(image)
        .withExposedPorts(httpPort)
        .withEnvironment({
          KURRENTDB_INSECURE: 'true',
          KURRENTDB_MEM_DB: 'true',
          // They create links between streams, which the store must not return.
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
else leaveOut(`the contract on ${image} in a container`, whySkipped)
