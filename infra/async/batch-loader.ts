import { chunksOf } from './chunks.ts'

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
