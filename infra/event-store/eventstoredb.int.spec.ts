import { afterAll, beforeAll } from '@jest/globals'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../testing/eventstoredb/server.ts'
import { eventStoreContract } from './contract.ts'
import { eventStoreDbCapabilities, openEventStoreDb } from './eventstoredb.ts'

const servers: EventStoreDbServer[] = []
const newServer = async () => {
  const server = await startEventStoreDbServer()
  servers.push(server)
  return server
}
const first = (): EventStoreDbServer => {
  const [server] = servers
  if (!server) throw new Error('The first server starts before the others.')
  return server
}

beforeAll(newServer)
afterAll(async () => {
  for (const server of servers) await server.stop()
})

eventStoreContract({
  capabilities: eventStoreDbCapabilities,
  // Client and server share this process: with 20,000 the three batch sizes take a minute.
  tailedEvents: 7_000,
  open: () => openEventStoreDb({ url: first().url }),
  openEmpty: async () => openEventStoreDb({ url: (await newServer()).url }),
  reopen: () => openEventStoreDb({ url: first().url }),
  openCuttable: async () => {
    const before = first().faultsMet()
    return {
      store: await openEventStoreDb({ url: first().url }),
      cutNext: () => first().failNextAppend('cut after'),
      cuts: () => first().faultsMet() - before,
    }
  },
  openFaulty: async () => ({
    store: await openEventStoreDb({ url: first().url }),
    faults: ['UNKNOWN', 'INTERNAL', 'PERMISSION_DENIED', 'NOT_FOUND', 'RESOURCE_EXHAUSTED'],
    fail: first().failReads,
  }),
})
