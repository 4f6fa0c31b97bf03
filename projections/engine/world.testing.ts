import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog, type Log } from '../../infra/telemetry.ts'
import { createTestDatabase } from '../../testing/servers/database.ts'
import { allProjections } from '../all.ts'
import { openReadModels } from '../database.ts'

const quiet = createLog({ level: 'silent', format: 'json' })

/** Creates a database with the event store and empty read models for specs; `asked` has the label of each query. */
export const createReadWorld = async (log: Log = quiet) => {
  const { url, drop } = await createTestDatabase()
  const database = connectPostgres({ url, log, poolSize: 10 })
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
      await database.close()
      await drop()
    },
  }
}

/** The world of specs of read models. */
export type ReadWorld = Awaited<ReturnType<typeof createReadWorld>>
