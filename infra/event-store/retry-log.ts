import type { Log } from '../telemetry.ts'

const repeatMs = 60_000

/** Returns a function that logs the errors that subscriptions retry: each message once a minute. */
export const logRetries = (log: Pick<Log, 'warn'> | undefined): ((error: unknown) => void) => {
  let last = ''
  let loggedMs = Number.NEGATIVE_INFINITY
  return (error) => {
    const reason = error instanceof Error ? error.message : String(error)
    if (reason === last && performance.now() - loggedMs < repeatMs) return
    last = reason
    loggedMs = performance.now()
    log?.warn({ reason }, 'the log cannot be read; subscriptions try again')
  }
}
