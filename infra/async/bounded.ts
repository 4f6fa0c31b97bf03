/** What happens to a new entry when there is no room. `evicts …`: it is kept, and older ones make room; the newest stays
 *  even where it alone is over the bound in bytes. `refuses the new one`: nothing is dropped. */
export type WhenFull = 'evicts the least recently used' | 'evicts the oldest' | 'refuses the new one'

/** The bound of something in memory that grows with what strangers do. */
export type Bound = {
  /** A few words, such as "aggregate cache"; no two bounds have the same. */
  readonly name: string
  /** What is kept, and for how long, in a sentence for docs/limits.md. */
  readonly holds: string
  readonly whenFull: WhenFull
} & Sizes

/** At least one of the two. Bytes are those that the caller counts, about what an entry takes in memory. */
type Sizes =
  | { readonly entriesMax: number; readonly bytesMax?: number }
  | { readonly entriesMax?: number; readonly bytesMax: number }

/** A map with a bound, in the order of insertion; under `evicts the least recently used`, in the order of use. */
export type BoundedMap<Value> = {
  /** Returns the value, and counts as a use of it. */
  get(key: string): Value | undefined
  has(key: string): boolean
  /** Returns false when there is no room and nothing may be evicted: then nothing changes.
   *  @param bytes about what the entry takes in memory. */
  set(key: string, value: Value, bytes?: number): boolean
  delete(key: string): void
  values(): Iterable<Value>
  readonly size: number
  /** The bytes of all entries together. */
  readonly bytes: number
}

const registered = new Map<string, Bound>()

/** Registers a bound under its name, once per program: as a constant of the file that needs it. Throws where the name
 *  is taken.
 *
 *  @example
 *  const pagesBound = registerBound({
 *    name: 'page cache',
 *    holds: 'the pages asked for last',
 *    whenFull: 'evicts the least recently used',
 *    bytesMax: 8 * 1024 * 1024,
 *  })
 *  const pages = createBoundedMap<string>(pagesBound)
 *  pages.set(path, text, text.length * 2) */
export const registerBound = (bound: Bound): Bound => {
  if (registered.has(bound.name)) throw new Error(`There is a bound with the name ${bound.name}`)
  registered.set(bound.name, bound)
  return bound
}

/** Returns all bounds of the files loaded so far, by name. */
export const registeredBounds = (): readonly Bound[] =>
  [...registered.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** Makes an empty map within a registered bound.
 *  @param sizes other sizes than those of the bound, from a setting or for a test. */
export const createBoundedMap = <Value>({ whenFull, ...bound }: Bound, sizes: Sizes = bound): BoundedMap<Value> => {
  const { entriesMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY } = sizes
  // A Map returns its keys in the order of insertion: the first is the one to evict.
  const entries = new Map<string, { readonly value: Value; readonly bytes: number }>()
  let total = 0

  const remove = (key: string) => {
    total -= entries.get(key)?.bytes ?? 0
    entries.delete(key)
  }

  const hasRoom = (key: string, bytes: number): boolean => {
    const before = entries.get(key)
    return entries.size + (before ? 0 : 1) <= entriesMax && total - (before?.bytes ?? 0) + bytes <= bytesMax
  }

  const evict = (newest: string) => {
    for (const oldest of entries.keys()) {
      if (entries.size <= entriesMax && (total <= bytesMax || oldest === newest)) return
      remove(oldest)
    }
  }

  return {
    get: (key) => {
      const entry = entries.get(key)
      if (entry && whenFull === 'evicts the least recently used') {
        entries.delete(key)
        entries.set(key, entry)
      }
      return entry?.value
    },
    has: (key) => entries.has(key),
    set: (key, value, bytes = 0) => {
      if (whenFull === 'refuses the new one' && !hasRoom(key, bytes)) return false
      remove(key)
      entries.set(key, { value, bytes })
      total += bytes
      evict(key)
      return true
    },
    delete: remove,
    values: () => entries.values().map(({ value }) => value),
    get size() {
      return entries.size
    },
    get bytes() {
      return total
    },
  }
}
