import { chunksOf } from '../../infra/async/chunks.ts'
import type { ReadModels } from '../../projections/database.ts'
import { findInvoices } from '../../projections/invoices.ts'
import { findJobPrograms } from '../../projections/jobs.ts'
import { findListings } from '../../projections/listings.ts'
import { findProviders } from '../../projections/providers.ts'
import { findRentals } from '../../projections/rentals.ts'

/** How many keys one call of a read function takes. */
const keysMax = 1_000

type Waiting<Value> = {
  readonly key: string
  readonly resolve: (value: Value) => void
  readonly reject: (error: unknown) => void
}

/** Returns a function that loads one value by its key. Keys that are asked for at the same time are loaded together,
 *  with one call for each 1,000. Caches nothing: a subscription is long-lived, and must not show stale nodes. */
export const createBatchLoader = <Value>(
  loadMany: (keys: readonly string[]) => Promise<readonly Value[]>,
): ((key: string) => Promise<Value>) => {
  let waiting: Waiting<Value>[] = []
  const load = async (batch: readonly Waiting<Value>[]) => {
    try {
      const values = await loadMany(batch.map(({ key }) => key))
      // The read functions return as many values as keys, in the same order.
      batch.forEach(({ resolve }, index) => {
        resolve(values[index] as Value)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
  const loadWaiting = () => {
    const all = waiting
    waiting = []
    for (const batch of chunksOf(all, keysMax)) void load(batch)
  }
  return (key) =>
    new Promise((resolve, reject) => {
      // After all resolvers of this level have run, which takes several microtasks.
      if (waiting.length === 0) setImmediate(loadWaiting)
      waiting.push({ key, resolve, reject })
    })
}

/** Creates the loaders of one request. They load nodes within nodes with one query per type, however many nodes there
 *  are. */
export const createLoaders = (read: ReadModels) => ({
  invoice: createBatchLoader((ids) => findInvoices(read, ids)),
  jobProgram: createBatchLoader((ids) => findJobPrograms(read, ids)),
  listing: createBatchLoader((ids) => findListings(read, ids)),
  provider: createBatchLoader((ids) => findProviders(read, ids)),
  rental: createBatchLoader((ids) => findRentals(read, ids)),
})
export type Loaders = ReturnType<typeof createLoaders>
