/** A process of a chaos run that keeps all read models up to date, beside others that do the same. Small batches, so
 *  that a kill is likely to hit a transaction. */
import { once } from 'node:events'
import { shareReader } from '../../infra/event-store/one-reader.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { allProjections } from '../../projections/all.ts'
import { startProjections } from '../../projections/engine/start.ts'
import { runChild, untilAnswered } from './child.ts'

const poolSize = 8
const batchSize = 20

await runChild(poolSize, async ({ database, log, signal }) => {
  const store = await untilAnswered(async () => shareReader(await openPostgresEventStore({ database })))
  const running = startProjections({ projections: allProjections, store, database, log, batchSize })
  if (!signal.aborted) await once(signal, 'abort')
  await running.close()
  await store.close()
})
