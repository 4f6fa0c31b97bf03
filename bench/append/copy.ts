import { withPool, withStore } from '../connect.ts'
import { copyIn } from '../copy.ts'
import { chunksOfLog, eventColumns } from '../fill.ts'
import type { Outcome, Task } from '../task.ts'

type Parameters = { readonly events: number; readonly length: number; readonly eventsPerCommit: number }

/** Measures how fast PostgreSQL accepts these rows at all: COPY in binary into the same table with the same indexes and
 *  triggers, on one connection, each COPY a transaction with its wait for the disk. The rows are made before the clock
 *  starts. */
export const contestant = async ({ url, parameters }: Task<Parameters>): Promise<Outcome> => {
  const { events, length, eventsPerCommit } = parameters
  await withStore(url, async () => undefined)
  return withPool(url, 1, async (pool) => {
    const commits: Buffer[][] = []
    for (let from = 0; from < events; from += eventsPerCommit)
      commits.push([...chunksOfLog(Math.min(events, from + eventsPerCommit), length, from)])
    const client = await pool.connect()
    try {
      const begun = performance.now()
      for (const chunks of commits) await copyIn(client, eventColumns, chunks)
      return { eventsPerSecond: (events * 1000) / (performance.now() - begun) }
    } finally {
      client.release()
    }
  })
}
