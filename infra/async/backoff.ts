import { sleep } from './sleep.ts'

export type Backoff = {
  /** How long the next pause is, in milliseconds. */
  readonly nextMs: number
  /** True until the first pause, and again after each reset: the next failure is a new one. */
  readonly isFresh: boolean
  /** Waits for the next pause, and doubles the one after it. Resolves early when the signal aborts. */
  pause(signal?: AbortSignal): Promise<void>
  /** Returns the next pause without waiting for it, and doubles the one after it. */
  take(): number
  /** Begins again with the shortest pause. */
  reset(): void
}

/** Makes pauses between tries of the same thing: `minMs` at first, then twice as long each time, at most `maxMs`.
 *
 *  @example
 *  const backoff = createBackoff({ minMs: 200, maxMs: 5_000 })
 *  while (!signal.aborted) {
 *    try {
 *      await work()
 *      backoff.reset()
 *    } catch (error) {
 *      if (backoff.isFresh) log.warn({ err: error }, 'trying again')
 *      await backoff.pause(signal)
 *    }
 *  } */
export const createBackoff = ({ minMs, maxMs }: { readonly minMs: number; readonly maxMs: number }): Backoff => {
  let nextMs = minMs
  let isFresh = true
  const take = () => {
    const ms = nextMs
    nextMs = Math.min(nextMs * 2, maxMs)
    isFresh = false
    return ms
  }
  return {
    get nextMs() {
      return nextMs
    },
    get isFresh() {
      return isFresh
    },
    take,
    pause: (signal) => sleep(take(), signal),
    reset: () => {
      nextMs = minMs
      isFresh = true
    },
  }
}
