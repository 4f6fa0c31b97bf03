import { setImmediate } from 'node:timers/promises'

const msMax = 10

/** Returns a function to await in a long loop: once the loop has run for 10 ms, it lets other work of the process run.
 *
 *  @example
 *  const breathe = createBreather()
 *  for (const line of lines) {
 *    await breathe()
 *    read(line)
 *  } */
export const createBreather = (now: () => number = () => performance.now()): (() => Promise<void>) => {
  let since = now()
  return async () => {
    if (now() - since < msMax) return
    await setImmediate()
    since = now()
  }
}
