import { setTimeout as delay } from 'node:timers/promises'

/** Resolves to what the work resolves to, or to `late()` when that takes longer than `msMax`; the work goes on then.
 *  Rejects as the work does. */
export const within = async <Value>(work: Promise<Value>, msMax: number, late: () => Value): Promise<Value> => {
  const timer = new AbortController()
  try {
    // The wait that is aborted rejects, and calls nothing.
    return await Promise.race([work, delay(msMax, undefined, { signal: timer.signal }).then(late)])
  } finally {
    timer.abort()
  }
}
