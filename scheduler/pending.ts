export type Pending = {
  /** Counts the work as pending until it ends. Returns a promise that ends as the work does. */
  track<Result>(work: Promise<Result>): Promise<Result>
  /** Resolves when no work is pending, also none that began meanwhile. Never throws. */
  idle(): Promise<void>
}

/** Counts the work that runs in the background, so that a part can close when all of it has ended.
 *
 *  @example
 *  const pending = createPending()
 *  void pending.track(report(job)).catch(warn)
 *  await pending.idle() // the report is recorded, or has failed */
export const createPending = (): Pending => {
  const open = new Set<Promise<unknown>>()
  return {
    track: (work) => {
      const tracked = work.finally(() => open.delete(tracked))
      open.add(tracked)
      return tracked
    },
    idle: async () => {
      while (open.size > 0) await Promise.allSettled(open)
    },
  }
}
