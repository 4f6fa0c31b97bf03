import type { ReadModels } from '../../projections/database.ts'
import { findInvoices } from '../../projections/invoices.ts'
import { findListings } from '../../projections/listings.ts'
import { findProviders } from '../../projections/providers.ts'
import { findRentals } from '../../projections/rentals.ts'

/** What the read functions take at once. */
const keysMax = 1_000

type Waiting<Value> = {
  readonly key: string
  readonly resolve: (value: Value) => void
  readonly reject: (error: unknown) => void
}

/** Collects the keys that are asked for one by one in the same turn, and loads them with one call. Remembers nothing: a
 *  subscription lives long, and its nodes must not grow old. */
export const createBatchLoader = <Value>(
  loadMany: (keys: readonly string[]) => Promise<readonly Value[]>,
): ((key: string) => Promise<Value>) => {
  let waiting: Waiting<Value>[] = []
  const load = async (batch: readonly Waiting<Value>[]) => {
    try {
      const values = await loadMany(batch.map(({ key }) => key))
      // As many values as keys, in the same order: that is what the read functions promise.
      batch.forEach(({ resolve }, index) => {
        resolve(values[index] as Value)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
  const dispatch = () => {
    const all = waiting
    waiting = []
    for (let first = 0; first < all.length; first += keysMax) void load(all.slice(first, first + keysMax))
  }
  return (key) =>
    new Promise((resolve, reject) => {
      // Not before all resolvers of this level have run, which takes a few rounds of promises.
      if (waiting.length === 0) setImmediate(dispatch)
      waiting.push({ key, resolve, reject })
    })
}

/** Nodes within nodes, loaded with one query per kind however many there are. */
export const createLoaders = (read: ReadModels) => ({
  invoice: createBatchLoader((ids) => findInvoices(read, ids)),
  listing: createBatchLoader((ids) => findListings(read, ids)),
  provider: createBatchLoader((ids) => findProviders(read, ids)),
  rental: createBatchLoader((ids) => findRentals(read, ids)),
})
export type Loaders = ReturnType<typeof createLoaders>
