import { EventStoreDBClient } from '@eventstore/db-client'
import { openEventStoreDb } from '../../infra/event-store/eventstoredb.ts'
import type { EventStore } from '../../infra/event-store/port.ts'

/** Opens our store on EventStoreDB for this work. */
export const withEventStoreDb = async <T>(url: string, work: (store: EventStore) => Promise<T>): Promise<T> => {
  const store = await openEventStoreDb({ url })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** Opens the bare client for this work. */
export const withClient = async <T>(url: string, work: (client: EventStoreDBClient) => Promise<T>): Promise<T> => {
  const client = EventStoreDBClient.connectionString(url)
  try {
    return await work(client)
  } finally {
    await client.dispose()
  }
}
