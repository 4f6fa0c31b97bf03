/** A map with bounds. The least recently used entry is evicted first; the newest stays, however large its weight is. */
export type LruCache<Value> = {
  get(key: string): Value | undefined
  set(key: string, value: Value, weight: number): void
  delete(key: string): void
  /** The weight of all entries together. */
  readonly weight: number
}

/** Makes an empty cache that holds at most `entriesMax` entries and, but for the newest, at most `weightMax`
 *  together. */
export const createLruCache = <Value>({
  entriesMax,
  weightMax,
}: {
  readonly entriesMax: number
  readonly weightMax: number
}): LruCache<Value> => {
  // A Map returns its keys in the order of insertion: the first is the least recently used one.
  const entries = new Map<string, { readonly value: Value; readonly weight: number }>()
  let total = 0

  const remove = (key: string) => {
    total -= entries.get(key)?.weight ?? 0
    entries.delete(key)
  }

  return {
    get: (key) => {
      const entry = entries.get(key)
      if (!entry) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return entry.value
    },
    set: (key, value, weight) => {
      remove(key)
      entries.set(key, { value, weight })
      total += weight
      for (const oldest of entries.keys()) {
        if (entries.size <= entriesMax && (total <= weightMax || oldest === key)) return
        remove(oldest)
      }
    },
    delete: remove,
    get weight() {
      return total
    },
  }
}
