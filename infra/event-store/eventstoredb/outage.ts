import { isFailure } from '../../../domain/errors.ts'
import { createBackoff } from '../../async/backoff.ts'

const outageMsMax = 5_000
const delays = { minMs: 50, maxMs: 1_000 }

/** Does work again when it fails with DATABASE_UNAVAILABLE: for five seconds at most, and not once the signal has aborted.
 *  For work that may be done more than once. Throws what it throws last. */
export const throughOutage = async <Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> => {
  const until = performance.now() + outageMsMax
  const backoff = createBackoff(delays)
  for (;;)
    try {
      return await work()
    } catch (error) {
      const isLast = signal.aborted || performance.now() + backoff.nextMs > until
      if (isLast || !isFailure(error, 'DATABASE_UNAVAILABLE')) throw error
      await backoff.pause(signal)
    }
}
