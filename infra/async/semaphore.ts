import { createFairQueue } from './fair-queue.ts'

/** Makes a function that runs work, at most `max` at once; the rest waits. Those who wait under one key have their turn in
 *  their order, and keys take turns in a circle: who has much to do holds up no other. Resolves and throws as the work
 *  does.
 *
 *  @example
 *  const limited = createSemaphore(2)
 *  // Of these, two are open at any moment:
 *  const texts = await Promise.all(paths.map((path) => limited(() => readFile(path, 'utf8')))) */
export const createSemaphore = (
  max: number,
): (<Result>(work: () => Promise<Result>, key?: string) => Promise<Result>) => {
  const waiting = createFairQueue<() => void>()
  let free = max
  return async (work, key = '') => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.add(key, resolve))
    try {
      return await work()
    } finally {
      // Passed to the next waiter and not returned, so that no new caller overtakes it.
      const begin = waiting.next()
      if (begin) begin()
      else free += 1
    }
  }
}
