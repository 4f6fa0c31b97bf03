/** Wakes all that wait at this moment, and nothing that waits later: look at the state first, then wait, with no await
 *  between. */
export type Signal = {
  notify(): void
  /** Resolves at the next `notify`, when the signal aborts, or after `ms`, whichever is first. */
  wait(options?: { readonly signal?: AbortSignal; readonly ms?: number }): Promise<void>
}

/** Makes a signal that any number of waiters share.
 *
 *  @example
 *  const changed = createSignal()
 *  const untilPositive = async (signal: AbortSignal) => {
 *    while (count <= 0 && !signal.aborted) await changed.wait({ signal, ms: 1_000 })
 *  }
 *  count += 1
 *  changed.notify() */
export const createSignal = (): Signal => {
  const waiting = new Set<() => void>()
  return {
    notify: () => {
      for (const wake of [...waiting]) wake()
    },
    wait: ({ signal, ms } = {}) =>
      new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve()
        const wake = () => {
          waiting.delete(wake)
          signal?.removeEventListener('abort', wake)
          clearTimeout(timer)
          resolve()
        }
        const timer = ms === undefined ? undefined : setTimeout(wake, ms)
        waiting.add(wake)
        signal?.addEventListener('abort', wake)
      }),
  }
}

/** Resolves as the promise does, or to undefined as soon as the signal aborts. What comes later is dropped, errors too.
 *
 *  @example const page = await unlessAborted(nextPage, signal)
 *  if (page === undefined) return */
export const unlessAborted = async <Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> => {
  promise.catch(() => undefined)
  if (signal.aborted) return undefined
  let stop: () => void = () => undefined
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
