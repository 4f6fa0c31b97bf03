export type Keyed = { readonly keys: readonly string[] }

export type Turns<Work extends Keyed> = {
  /** Stands in line for all its keys. True when it is its turn at once. The keys of one piece of work differ. */
  enter(work: Work): boolean
  /** Ends its turn. Gives those whose turn it is now. */
  leave(work: Work): Work[]
}

/** Lets pieces of work that share a key have their turn one after the other, in the order they came; all others at once.
 *  They enter all their lines in one step, so nobody waits in a circle. */
export const createTurns = <Work extends Keyed>(): Turns<Work> => {
  const lines = new Map<string, Set<Work>>()
  const behind = new Map<Work, number>()
  return {
    enter: (work) => {
      let others = 0
      for (const key of work.keys) {
        const line = lines.get(key)
        if (line) {
          line.add(work)
          others += 1
        } else lines.set(key, new Set([work]))
      }
      if (others > 0) behind.set(work, others)
      return others === 0
    },
    leave: (work) => {
      const ready: Work[] = []
      for (const key of work.keys) {
        const line = lines.get(key)
        line?.delete(work)
        const next: Work | undefined = line?.values().next().value
        if (next === undefined) {
          lines.delete(key)
          continue
        }
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
