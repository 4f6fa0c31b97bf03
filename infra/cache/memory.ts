import type { Cache } from './port.ts'

const entriesMaxDefault = 20_000

/** Makes the cache of one process. When it is full, it drops the value that was set first. */
export const memoryCache = ({
  nowMs = () => performance.now(),
  entriesMax = entriesMaxDefault,
}: {
  readonly nowMs?: () => number
  readonly entriesMax?: number
} = {}): Cache => {
  const entries = new Map<string, { readonly value: string; readonly untilMs: number }>()
  // A map keeps the order of insertion, so the oldest entries are first.
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
