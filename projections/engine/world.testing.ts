import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { createTestDatabase } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { allProjections } from '../all.ts'
import { openReadModels } from '../database.ts'
import { type Projections, startProjections } from './start.ts'
import { createStreamFolds } from './stream-folds.ts'

/** Creates a database with the event store and empty read models for specs; `asked` has the label of each query. `start` runs
 *  read models, all of them unless others are named, until the world is closed. */
export const createReadWorld = async (log: Log = silentLog) => {
  const { url, connect, drop } = await createTestDatabase()
  const database = connect({ log, poolSize: 10 })
  const store = await openPostgresEventStore({ database, pollMs: 50 })
  const asked: string[] = []
  const started: Projections[] = []
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
    folds: createStreamFolds({ store }),
    read,
    asked,
    start: (options: Partial<Parameters<typeof startProjections>[0]> = {}): Projections => {
      const projections = startProjections({ projections: allProjections, store, database, log, ...options })
      started.push(projections)
      return projections
    },
    /** Resolves when all started read models have reached the head of the log. */
    caughtUp: async () => {
      const head = await store.head()
      await Promise.all(started.map((projections) => projections.waitFor(head, 30_000)))
    },
    close: async () => {
      for (const projections of started) await projections.close()
      await read.close()
      await store.close()
      await drop()
    },
  }
}

/** The world of specs of read models. */
export type ReadWorld = Awaited<ReturnType<typeof createReadWorld>>
