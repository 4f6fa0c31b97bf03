/** Callers that wait until something has reached a position. */
export type Waiters = {
  /** Resolves when the position is reached, or after `ms`. */
  wait(position: string, ms: number): Promise<void>
  /** Ends the wait of all callers up to this position. */
  reached(position: string): void
  /** Returns how many wait. */
  count(): number
  /** Ends the wait of all callers. */
  close(): void
}

/** Creates the waiters for one read model. Positions are kept in order: `reached` looks at those alone that it ends, and
 *  at one more. */
export const createWaiters = (): Waiters => {
  const positions: string[] = []
  const byPosition = new Map<string, Set<() => void>>()
  let waiting = 0

  /** Returns the index of the first position that is not below. */
  const indexOf = (position: string): number => {
    let [low, high] = [0, positions.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((positions[middle] ?? '') < position) low = middle + 1
      else high = middle
    }
    return low
  }

  const add = (position: string, end: () => void) => {
    const found = byPosition.get(position)
    if (found) found.add(end)
    else {
      byPosition.set(position, new Set([end]))
      positions.splice(indexOf(position), 0, position)
    }
    waiting += 1
  }

  const leave = (position: string, end: () => void) => {
    const found = byPosition.get(position)
    if (!found?.delete(end)) return
    waiting -= 1
    if (found.size > 0) return
    byPosition.delete(position)
    positions.splice(indexOf(position), 1)
  }

  return {
    wait: (position, ms) =>
      new Promise((resolve) => {
        if (ms <= 0) return resolve()
        const end = () => {
          leave(position, end)
          clearTimeout(timer)
          resolve()
        }
        const timer = setTimeout(end, ms)
        add(position, end)
      }),
    reached: (position) => {
      while (positions.length > 0 && (positions[0] ?? '') <= position)
        for (const end of [...(byPosition.get(positions[0] ?? '') ?? [])]) end()
    },
    count: () => waiting,
    close: () => {
      for (const ends of [...byPosition.values()]) for (const end of [...ends]) end()
    },
  }
}
