import { endAllPools } from '@event-driven-io/dumbo'
import { getPostgreSQLEventStore, type PeerStore } from '@event-driven-io/emmett-postgresql'

/** Runs a function with Emmett's store, opened as its own benchmark opens it: the schema is created before and not
 *  checked in each call, and the pool of the driver has its 10 connections, as many as ours has. */
export const withPeer = async <T>(url: string, work: (store: PeerStore) => Promise<T>): Promise<T> => {
  const store = getPostgreSQLEventStore(url, { schema: { autoMigration: 'None' } })
  try {
    await store.schema.migrate()
    return await work(store)
  } finally {
    await store.close()
    // Closing the store leaves its pool open; the database is about to be dropped.
    await endAllPools()
  }
}
