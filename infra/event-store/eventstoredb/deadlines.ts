/** Work that has a deadline. */
export type Turn = {
  /** True once the deadline has passed. Nothing may be sent then: the caller has its answer. */
  readonly isOver: () => boolean
  /** Aborts when the deadline has passed, and when the work has ended. */
  readonly signal: () => AbortSignal
  /** Begins the deadline anew: the server has answered, and the work comes on. */
  readonly goOn: () => void
}

export type Deadlines = {
  /** Resolves to the result of the work, or throws what `giveUp` returns when it takes too long.
   *  @param sinceMs when the caller began to wait, by performance.now(). */
  within<Result>(sinceMs: number, work: (turn: Turn) => Promise<Result>): Promise<Result>
  /** Ends all work as if its deadline had passed. */
  close(): void
}

type Entry = { untilMs: number; isLate: boolean; readonly end: () => void }

/** How late it may be noticed that a deadline has passed: all work shares one timer, since nearly all of it ends soon. */
const tickMs = 20

/** Creates deadlines of `msMax` after a caller has begun to wait.
 *  @param giveUp makes the error of work that takes too long. */
export const createDeadlines = (msMax: number, giveUp: () => Error): Deadlines => {
  const running = new Set<Entry>()
  let timer: NodeJS.Timeout | undefined

  const tick = () => {
    const nowMs = performance.now()
    for (const entry of running)
      if (nowMs < entry.untilMs) entry.isLate = false
      // What has arrived while this process stood still is taken before that is noticed.
      else if (entry.isLate) entry.end()
      else entry.isLate = true
    timer = running.size > 0 ? setTimeout(tick, tickMs).unref() : undefined
  }

  return {
    within: (sinceMs, work) =>
      new Promise((resolve, reject) => {
        let isOver = false
        let controller: AbortController | undefined
        const leave = () => {
          running.delete(entry)
          isOver = true
          controller?.abort()
        }
        const end = () => {
          leave()
          reject(giveUp())
        }
        const entry: Entry = { untilMs: sinceMs + msMax, isLate: false, end }
        if (performance.now() >= entry.untilMs) return end()
        running.add(entry)
        timer ??= setTimeout(tick, tickMs).unref()
        const turn: Turn = {
          isOver: () => isOver,
          signal: () => {
            controller ??= new AbortController()
            if (isOver) controller.abort()
            return controller.signal
          },
          goOn: () => {
            entry.untilMs = performance.now() + msMax
          },
        }
        work(turn).then(resolve, reject).finally(leave)
      }),
    close: () => {
      clearTimeout(timer)
      timer = undefined
      for (const { end } of running) end()
    },
  }
}
