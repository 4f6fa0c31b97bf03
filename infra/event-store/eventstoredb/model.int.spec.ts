import { startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { modelTest } from '../contract.ts'
import { eventStoreDbCapabilities, openEventStoreDb } from '../eventstoredb.ts'

modelTest({
  name: 'EventStoreDB',
  capabilities: eventStoreDbCapabilities,
  positions: 'other',
  operations: 4_000,
  open: async () => {
    const server = await startEventStoreDbServer()
    const store = await openEventStoreDb({ url: server.url })
    return {
      ...store,
      close: async () => {
        await store.close()
        await server.stop()
      },
    }
  },
})
