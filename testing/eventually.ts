import { setTimeout as delay } from 'node:timers/promises'

/** Looks again and again, and resolves to the first result that is not undefined or false.
 *  Throws, naming what it waited for, after `timeoutMs`. */
export const eventually = async <T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 15_000,
): Promise<T> => {
  const until = performance.now() + timeoutMs
  for (;;) {
    const began = performance.now()
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > until) throw new Error(`waited ${timeoutMs} ms without success: ${what}`)
    // What is waited for needs the machine as well.
    await delay(Math.max(20, 2 * (performance.now() - began)))
  }
}
