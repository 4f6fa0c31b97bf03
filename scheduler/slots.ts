/** The turns of the jobs of each rental: as many run at once as GPUs were rented, and the others wait in order. */
export type Slots = {
  /** Takes a slot for a job. Returns false when all are taken: the job waits then. A job that has one keeps it. */
  take(rental: string, job: string, slotsMax: number): boolean
  /** Takes a slot for a job that runs already, though none may be free. */
  hold(rental: string, job: string): void
  /** Returns the jobs that have a slot. */
  holders(): readonly string[]
  /** Gives the slot of a job back. Returns the jobs of its rental that wait, the first one first; they no longer wait. */
  release(job: string): readonly string[]
}

/** Creates the slots. They live in memory: who starts anew holds the running jobs first and takes for the others then.
 *
 *  @example
 *  slots.take('r', 'a', 1) // true
 *  slots.take('r', 'b', 1) // false
 *  slots.release('a') // ['b'] */
export const createSlots = (): Slots => {
  const rentals = new Map<string, { readonly held: Set<string>; readonly waiting: Set<string> }>()
  const rentalOf = new Map<string, string>()
  const of = (rental: string) => {
    const known = rentals.get(rental) ?? { held: new Set(), waiting: new Set() }
    rentals.set(rental, known)
    return known
  }
  const hold: Slots['hold'] = (rental, job) => {
    const { held, waiting } = of(rental)
    waiting.delete(job)
    held.add(job)
    rentalOf.set(job, rental)
  }
  return {
    hold,
    holders: () => [...rentalOf.keys()],
    take: (rental, job, slotsMax) => {
      const { held, waiting } = of(rental)
      if (!held.has(job) && held.size >= slotsMax) {
        waiting.add(job)
        return false
      }
      hold(rental, job)
      return true
    },
    release: (job) => {
      const rental = rentalOf.get(job)
      const known = rental === undefined ? undefined : rentals.get(rental)
      if (rental === undefined || known === undefined) return []
      known.held.delete(job)
      rentalOf.delete(job)
      const next = [...known.waiting]
      known.waiting.clear()
      if (known.held.size === 0) rentals.delete(rental)
      return next
    },
  }
}
