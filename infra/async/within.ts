import { sleep } from './sleep.ts'

/** Resolves to what the work resolves to, or to `late()` when that takes longer than `msMax`; the work goes on then.
 *  Rejects as the work does. */
export const within = async <Value>(work: Promise<Value>, msMax: number, late: () => Value): Promise<Value> => {
  const timer = new AbortController()
  try {
    return await Promise.race([work, sleep(msMax, timer.signal).then(late)])
  } finally {
    timer.abort()
  }
}
