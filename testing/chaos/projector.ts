/** A process of a chaos run that keeps all read models up to date, beside others that do the same. Small batches, so
 *  that a kill is likely to hit a transaction. */
import { once } from 'node:events'
import { shareReader } from '../../infra/event-store/one-reader.ts'
import { allProjections } from '../../projections/all.ts'
import { startProjections } from '../../projections/engine/start.ts'
import { runChild } from './child.ts'

const poolSize = 8
const batchSize = 20

await runChild(poolSize, async ({ database, log, signal, openStore }) => {
  const store = shareReader(await openStore())
  const running = startProjections({ projections: allProjections, store, database, log, batchSize })
  if (!signal.aborted) await once(signal, 'abort')
  await running.close()
  await store.close()
})
