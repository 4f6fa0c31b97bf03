import { openReadModels } from '../../projections/database.ts'
import { runProjection } from '../../projections/engine/runner.ts'
import { silent, withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { digestOf, leases } from './leases.ts'

type Parameters = { readonly events: number; readonly batchSize: number; readonly round: number }

/** Measures the runner as the platform runs it, from nothing to the end of the log. */
export const contestant = ({ url, parameters }: Task<Parameters>): Promise<Outcome> =>
  withStore(url, async (store, database) => {
    await (await openReadModels({ url, log: silent, projections: [] })).close()
    const { tableName, create, projection } = leases(parameters.round)
    await database.query('bench.create', create)
    const head = await store.head()
    const done = new AbortController()
    const began = performance.now()
    await runProjection({
      projection,
      store,
      database,
      log: silent,
      batchSize: parameters.batchSize,
      onReached: (position) => {
        if (position >= head) done.abort()
      },
      onState: (state) => {
        if ('failure' in state) throw new Error(state.failure.message)
      },
      signal: done.signal,
    })
    const tookMs = performance.now() - began
    const [found] = await database.query<{ digest: string }>('bench.digest', digestOf(tableName))
    await database.query('bench.drop', `drop table ${tableName}`)
    return { eventsPerSecond: (parameters.events * 1000) / tookMs, digest: Number(found?.digest) }
  })
