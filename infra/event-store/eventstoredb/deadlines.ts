/** Work that has a deadline. */
export type Turn = {
  /** True once the deadline has passed. Nothing may be sent then: the caller has its answer. */
  readonly isOver: () => boolean
  /** Aborts when the deadline has passed, and when the work has ended. */
  readonly signal: () => AbortSignal
}

export type Deadlines = {
  /** Resolves to the result of the work, or throws what `giveUp` returns when it takes too long.
   *  @param sinceMs when the caller began to wait, by performance.now(). */
  within<Result>(sinceMs: number, work: (turn: Turn) => Promise<Result>): Promise<Result>
  /** Ends all work as if its deadline had passed. */
  close(): void
}

/** How late it may be noticed that a deadline has passed: all work shares one timer, since nearly all of it ends soon. */
const tickMs = 20

/** Creates deadlines of `msMax` after a caller has begun to wait.
 *  @param giveUp makes the error of work that takes too long. */
export const createDeadlines = (msMax: number, giveUp: () => Error): Deadlines => {
  const running = new Set<{ readonly untilMs: number; readonly end: () => void }>()
  let timer: NodeJS.Timeout | undefined

  const tick = () => {
    const nowMs = performance.now()
    for (const { untilMs, end } of running) if (nowMs >= untilMs) end()
    timer = running.size > 0 ? setTimeout(tick, tickMs).unref() : undefined
  }

  return {
    within: (sinceMs, work) =>
      new Promise((resolve, reject) => {
        let isOver = false
        let controller: AbortController | undefined
        const turn: Turn = {
          isOver: () => isOver,
          signal: () => {
            controller ??= new AbortController()
            if (isOver) controller.abort()
            return controller.signal
          },
        }
        const leave = () => {
          running.delete(entry)
          isOver = true
          controller?.abort()
        }
        const end = () => {
          leave()
          reject(giveUp())
        }
        const entry = { untilMs: sinceMs + msMax, end }
        if (performance.now() >= entry.untilMs) return end()
        running.add(entry)
        timer ??= setTimeout(tick, tickMs).unref()
        work(turn).then(resolve, reject).finally(leave)
      }),
    close: () => {
      clearTimeout(timer)
      timer = undefined
      for (const { end } of running) end()
    },
  }
}
