import { sleep } from './async/sleep.ts'
import { within } from './async/within.ts'
import type { Log } from './telemetry.ts'

const closeMsMax = 15_000
/** How long a whole stop takes at most: parts that wait for the same thing, such as a database that does not answer,
 *  share it. Service managers kill after 90 s by default. */
const stopMsMax = 60_000
/** What the parts before leave to each part. */
const reservedMsDefault = 200
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** One Ctrl-C is two signals under npm, which passes on what the terminal sends to npm and to its child alike. So what
 *  comes this soon after the first signal is taken for the same one. */
export const sameSignalMs = 500

type Close = (reason: string, msMax: number) => unknown

export type Shutdown = {
  /** Aborts as soon as the stop begins, so that loops and waits end. */
  readonly signal: AbortSignal
  /** Registers how to close a part; the part that was added last is closed first. A part that is added while the stop
   *  is under way is closed at once. `close` gets the reason of the stop, and how long it may take: `closeMs` at most, but
   *  no more than what is left of the whole stop, without what is reserved for the parts after it; `reservedMs` at least. */
  add(name: string, close: Close, options?: { closeMs?: number; reservedMs?: number }): void
  /** Closes all parts, once, for a reason such as SIGTERM; more calls wait for the same end. Resolves to the parts that did not close cleanly. */
  stop(reason: string): Promise<readonly string[]>
  /** Stops on SIGINT (Ctrl-C), SIGTERM and SIGHUP, then exits with 0, or with 1 when a part did not close cleanly. A
   *  second signal exits at once with 130; what comes within `sameSignalMs` is no second one. Returns a function that
   *  removes the listeners. */
  onSignals(): () => void
}

type Signalled = {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
}
type Program = Signalled & { exit(code: number): unknown }
type Wait = (ms: number) => Promise<unknown>

/** Signals that have arrived while the process was busy are handled between its timers and `setImmediate`. */
const waitForSignals: Wait = async (ms) => {
  await sleep(ms)
  await new Promise((resolve) => setImmediate(resolve))
}

/** Calls `first` at the first SIGINT (Ctrl-C), SIGTERM or SIGHUP, and `second` at each later one that does not come
 *  within `sameSignalMs`. Returns a function that removes the listeners. */
export const listenToSignals = (
  first: (signal: NodeJS.Signals) => void,
  second: (signal: NodeJS.Signals) => void,
  program: Signalled = process,
  wait: Wait = waitForSignals,
): (() => void) => {
  let state: 'none' | 'first' | 'second counts' = 'none'
  const listener = (signal: NodeJS.Signals) => {
    if (state === 'second counts') second(signal)
    if (state !== 'none') return
    state = 'first'
    void wait(sameSignalMs).then(() => {
      state = 'second counts'
    })
    first(signal)
  }
  for (const signal of signals) program.on(signal, listener)
  return () => {
    for (const signal of signals) program.off(signal, listener)
  }
}

/** Makes the list of parts that a program closes at its end: the part that was started last is closed first. */
export const createShutdown = (
  log: Log,
  program: Program = process,
  wait?: Wait,
  stopMs: number = stopMsMax,
): Shutdown => {
  const parts: { name: string; close: Close; closeMs: number; reservedMs: number }[] = []
  let until = 0
  let reasonOfStop = ''
  const controller = new AbortController()
  const unclean: string[] = []
  let stopping: Promise<readonly string[]> | undefined

  const closeParts = async (): Promise<readonly string[]> => {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const { name, close, reservedMs } = part
      const others = parts.reduce((sum, { reservedMs }) => sum + reservedMs, 0)
      const closeMs = Math.max(reservedMs, Math.min(part.closeMs, until - performance.now() - others))
      try {
        const closed = (async () => close(reasonOfStop, closeMs))().then(() => 'closed')
        const outcome = await within(closed, closeMs, () => 'late')
        if (outcome === 'closed') log.debug({ name }, 'closed')
        else {
          unclean.push(name)
          log.error({ name, closeMs: Math.round(closeMs) }, 'did not close in time, going on without it')
        }
      } catch (err) {
        unclean.push(name)
        log.error({ name, err }, 'did not close cleanly')
      }
    }
    return unclean
  }

  const shutdown: Shutdown = {
    signal: controller.signal,
    add: (name, close, { closeMs = closeMsMax, reservedMs = Math.min(reservedMsDefault, closeMs) } = {}) => {
      parts.push({ name, close, closeMs, reservedMs })
      if (stopping !== undefined) stopping = stopping.then(closeParts)
    },
    stop: (reason) => {
      if (stopping === undefined) {
        log.info({ reason }, 'stopping')
        reasonOfStop = reason
        until = performance.now() + stopMs
        stopping = Promise.resolve().then(closeParts)
        controller.abort(new Error(`stopping: ${reason}`))
      }
      return stopping
    },
    onSignals: () =>
      listenToSignals(
        (signal) => {
          void shutdown.stop(signal).then((names) => {
            log.info(names.length === 0 ? 'stopped' : 'stopped, but not cleanly')
            program.exit(names.length === 0 ? 0 : 1)
          })
        },
        (signal) => {
          log.warn({ signal }, 'a second signal, exiting at once')
          program.exit(130)
        },
        program,
        wait,
      ),
  }
  return shutdown
}
