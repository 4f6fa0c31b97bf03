import { startEventStoreDbServer } from '../../testing/eventstoredb/server.ts'
import { eventStoreDbCapabilities, openEventStoreDb } from './eventstoredb.ts'
import { modelTest } from './spec-model.ts'

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
