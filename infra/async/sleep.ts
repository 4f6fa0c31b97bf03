import { setTimeout as delay } from 'node:timers/promises'

/** Resolves after `ms` milliseconds, or as soon as the signal aborts. Never throws.
 *
 *  @example
 *  while (!signal.aborted) {
 *    await lookOnce()
 *    await sleep(pollMs, signal)
 *  } */
export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  delay(ms, undefined, signal && { signal }).catch(() => undefined)
