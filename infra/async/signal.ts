/** Wakes those who wait. Who does not wait does not hear it: look at the state first, then wait, with no await between. */
export type Signal = {
  notify(): void
  /** Resolves at the next ring, when the signal aborts, or after `ms`, whichever is first. */
  wait(options?: { readonly signal?: AbortSignal; readonly ms?: number }): Promise<void>
}

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

/** What the promise gives, or undefined as soon as the signal aborts. What comes after the abort is dropped, errors too. */
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
