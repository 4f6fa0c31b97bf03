/** A map that forgets who was not asked for longest. The newest stays, however heavy. */
export type LruCache<Value> = {
  get(key: string): Value | undefined
  set(key: string, value: Value, weight: number): void
  delete(key: string): void
  /** Of all that is kept. */
  readonly weight: number
}

export const createLruCache = <Value>({
  entriesMax,
  weightMax,
}: {
  readonly entriesMax: number
  readonly weightMax: number
}): LruCache<Value> => {
  // A Map gives its keys in the order in which they were put in: the first is the one to go.
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
