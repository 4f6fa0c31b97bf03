export type Keyed = { readonly keys: readonly string[] }

export type KeyedQueue<Work extends Keyed> = {
  /** Stands in line for all its keys. True when it is its turn at once. The keys of one piece of work differ. */
  enter(work: Work): boolean
  /** Ends its turn. Gives those whose turn it is now. */
  leave(work: Work): Work[]
}

/** Lets pieces of work that share a key have their turn one after the other, in the order they came; all others at once.
 *  They enter all their lines in one step, so nobody waits in a circle. */
export const createKeyedQueue = <Work extends Keyed>(): KeyedQueue<Work> => {
  /** Mostly one alone holds a key: then no line is made of it. */
  const lines = new Map<string, Work | Set<Work>>()
  const behind = new Map<Work, number>()

  const standIn = (key: string, work: Work): boolean => {
    const line = lines.get(key)
    if (line === undefined) lines.set(key, work)
    else if (line instanceof Set) line.add(work)
    else lines.set(key, new Set([line, work]))
    return line === undefined
  }

  /** Who comes next. */
  const stepOut = (key: string, work: Work): Work | undefined => {
    const line = lines.get(key)
    if (!(line instanceof Set)) {
      lines.delete(key)
      return undefined
    }
    line.delete(work)
    const next: Work | undefined = line.values().next().value
    if (next !== undefined && line.size === 1) lines.set(key, next)
    return next
  }

  return {
    enter: (work) => {
      let others = 0
      for (const key of work.keys) if (!standIn(key, work)) others += 1
      if (others > 0) behind.set(work, others)
      return others === 0
    },
    leave: (work) => {
      const ready: Work[] = []
      for (const key of work.keys) {
        const next = stepOut(key, work)
        if (next === undefined) continue
        const left = (behind.get(next) ?? 1) - 1
        if (left > 0) behind.set(next, left)
        else {
          behind.delete(next)
          ready.push(next)
        }
      }
      return ready
    },
  }
}
