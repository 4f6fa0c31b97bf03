import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { createTestDatabase } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { allProjections } from '../all.ts'
import { openReadModels } from '../database.ts'

/** Creates a database with the event store and empty read models for specs; `asked` has the label of each query. */
export const createReadWorld = async (log: Log = silentLog) => {
  const { url, connect, drop } = await createTestDatabase()
  const database = connect({ log, poolSize: 10 })
  const store = await openPostgresEventStore({ database, pollMs: 50 })
  const asked: string[] = []
  const read = await openReadModels({
    url,
    log,
    projections: allProjections,
    store,
    onQuery: (label) => asked.push(label),
  })
  return {
    url,
    log,
    database,
    store,
    read,
    asked,
    close: async () => {
      await read.close()
      await store.close()
      await drop()
    },
  }
}

/** The world of specs of read models. */
export type ReadWorld = Awaited<ReturnType<typeof createReadWorld>>
