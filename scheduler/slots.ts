/** The turns of the jobs of each rental: as many run at once as GPUs were rented, and the others wait in order. */
export type Slots = {
  /** Takes a slot for a job. Returns false when none is free for it: the job waits then. A job that has one keeps it. */
  take(rental: string, job: string, slotsMax: number): boolean
  /** Takes a slot for a job that runs already, though none may be free. */
  hold(rental: string, job: string): void
  /** Returns whether a job has a slot. */
  has(job: string): boolean
  /** Returns the jobs that have a slot. */
  holders(): readonly string[]
  /** Gives back the slot of a job, or the one that is kept for it. Returns the jobs that are next, for which the free slots
   *  are kept now: each takes its own or is released. */
  release(job: string): readonly string[]
}

type Turns = {
  readonly held: Set<string>
  /** Those whose turn it is, and which have not taken their slot yet. */
  readonly called: Set<string>
  readonly waiting: Set<string>
  slotsMax: number
}

/** Creates the slots. They live in memory: who starts anew holds the running jobs first and takes for the others then.
 *
 *  @example
 *  slots.take('r', 'a', 1) // true
 *  slots.take('r', 'b', 1) // false
 *  slots.release('a') // ['b'] */
export const createSlots = (): Slots => {
  const rentals = new Map<string, Turns>()
  /** By job, where it has a slot or one is kept for it. */
  const rentalOf = new Map<string, string>()
  const of = (rental: string) => {
    const known = rentals.get(rental) ?? { held: new Set(), called: new Set(), waiting: new Set(), slotsMax: 0 }
    rentals.set(rental, known)
    return known
  }
  const hold: Slots['hold'] = (rental, job) => {
    const { held, called, waiting } = of(rental)
    called.delete(job)
    waiting.delete(job)
    held.add(job)
    rentalOf.set(job, rental)
  }
  return {
    hold,
    has: (job) => rentals.get(rentalOf.get(job) ?? '')?.held.has(job) === true,
    holders: () => [...rentals.values()].flatMap(({ held }) => [...held]),
    take: (rental, job, slotsMax) => {
      const turns = of(rental)
      const { held, called, waiting } = turns
      turns.slotsMax = slotsMax
      const others = called.has(job) ? called.size - 1 : called.size
      if (!held.has(job) && held.size + others >= slotsMax) {
        if (called.delete(job)) rentalOf.delete(job)
        waiting.add(job)
        return false
      }
      hold(rental, job)
      return true
    },
    release: (job) => {
      const rental = rentalOf.get(job)
      const turns = rental === undefined ? undefined : rentals.get(rental)
      if (rental === undefined || turns === undefined) return []
      const { held, called, waiting, slotsMax } = turns
      held.delete(job)
      called.delete(job)
      rentalOf.delete(job)
      const next: string[] = []
      for (const one of waiting) {
        if (held.size + called.size >= slotsMax) break
        waiting.delete(one)
        called.add(one)
        rentalOf.set(one, rental)
        next.push(one)
      }
      if (held.size + called.size === 0) rentals.delete(rental)
      return next
    },
  }
}
