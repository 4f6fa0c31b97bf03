import type { Cache } from './port.ts'

const entriesMaxDefault = 20_000

/** The cache of one process. Bounded: when it is full, the value that was set first makes room. */
export const memoryCache = ({
  nowMs = () => performance.now(),
  entriesMax = entriesMaxDefault,
}: {
  readonly nowMs?: () => number
  readonly entriesMax?: number
} = {}): Cache => {
  const entries = new Map<string, { readonly value: string; readonly untilMs: number }>()
  // A map keeps the order of insertion, so the oldest come first.
  const makeRoom = () => {
    for (const [key, { untilMs }] of entries) {
      if (entries.size < entriesMax && untilMs > nowMs()) return
      entries.delete(key)
    }
  }
  return {
    set: async (key, value, ttlMs) => {
      entries.delete(key)
      makeRoom()
      entries.set(key, { value, untilMs: nowMs() + ttlMs })
    },
    take: async (key) => {
      const entry = entries.get(key)
      entries.delete(key)
      return entry && entry.untilMs > nowMs() ? entry.value : undefined
    },
    close: async () => entries.clear(),
  }
}
