import { isFailure } from '../domain/errors.ts'
import { type Backoff, createBackoff } from '../infra/async/backoff.ts'

/** The oldest trouble is forgotten beyond this many: its job is then tried once too often. */
const troublesMax = 10_000
/** A job without a failure for so many of its longest pauses begins again with the shortest one. */
const forgottenAfterPauses = 2
const outagePauseMsMax = 10_000

export type Troubles = {
  /** Records a failure, and its error if there is one. Returns how long the pause is that begins now, in milliseconds:
   *  none is long while the log is away, so that no job waits for long once it is back. */
  failed(key: string, error?: unknown): number
  /** Returns whether the pause after the last failure still lasts. */
  isPaused(key: string): boolean
  /** Returns how many keys failed lately. */
  readonly count: number
}

/** Remembers what failed lately, and makes the pauses before it is tried again: each is twice as long as the one before.
 *
 *  @example
 *  const troubles = createTroubles({ pauseMsMin: 5_000, pauseMsMax: 600_000 })
 *  for (const job of open) if (!troubles.isPaused(job)) await run(job).catch(() => troubles.failed(job)) */
export const createTroubles = (
  { pauseMsMin, pauseMsMax }: { readonly pauseMsMin: number; readonly pauseMsMax: number },
  clock: () => number = () => performance.now(),
): Troubles => {
  const troubles = new Map<string, { readonly backoff: Backoff; readonly until: number }>()
  const forget = () => {
    for (const [key, { until }] of troubles)
      if (clock() > until + forgottenAfterPauses * pauseMsMax || troubles.size > troublesMax) troubles.delete(key)
      else return
  }
  return {
    failed: (key, error) => {
      const backoff = troubles.get(key)?.backoff ?? createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
      const isOutage = isFailure(error, 'DATABASE_UNAVAILABLE') || isFailure(error, 'DATABASE_FULL')
      const longestMs = isOutage ? outagePauseMsMax : pauseMsMax
      const pauseMs = Math.min(backoff.take(), longestMs)
      troubles.delete(key) // the newest stands last
      troubles.set(key, { backoff, until: clock() + pauseMs })
      forget()
      return pauseMs
    },
    isPaused: (key) => (troubles.get(key)?.until ?? 0) > clock(),
    get count() {
      forget()
      return troubles.size
    },
  }
}
