/** Makes a function that runs work, at most `max` at once; the rest waits in its order. Resolves and throws as the work
 *  does.
 *
 *  @example
 *  const limited = createSemaphore(2)
 *  // Of these, two are open at any moment:
 *  const texts = await Promise.all(paths.map((path) => limited(() => readFile(path, 'utf8')))) */
export const createSemaphore = (max: number): (<Result>(work: () => Promise<Result>) => Promise<Result>) => {
  const waiting: (() => void)[] = []
  let free = max
  return async (work) => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      // Passed to the next waiter and not returned, so that no new caller overtakes it.
      const next = waiting.shift()
      if (next) next()
      else free += 1
    }
  }
}
