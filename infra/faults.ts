import { Failure } from '../domain/errors.ts'
import type { Shutdown } from './shutdown.ts'
import type { Log } from './telemetry.ts'

/** More are counted alone: a fault may repeat itself at each line of the log. */
const faultsLoggedMax = 20

type Program = {
  on(event: 'uncaughtException', listener: (error: unknown, origin: string) => void): unknown
  exit(code: number): unknown
}

/** Stops the program in order, for this reason, at the first error that nothing has caught, thrown or of a promise, and exits with 1: the log
 *  gets one line of level `fatal` with its code. Such errors come from outside too: a driver throws at bytes that a broken
 *  connection has changed. Later ones, until the exit, are lines of level `error`. */
export const onFaults = (
  { log, shutdown, reason }: { readonly log: Log; readonly shutdown: Pick<Shutdown, 'stop'>; readonly reason: string },
  program: Program = process,
): void => {
  let faults = 0
  // Without a listener of its own, a promise that was rejected comes here too.
  program.on('uncaughtException', (error, origin) => {
    faults += 1
    if (faults > faultsLoggedMax) return
    const err = typeof error === 'object' && error !== null ? error : new Error(String(error))
    const line = { err, code: err instanceof Failure ? err.code : 'INTERNAL', origin }
    if (faults > 1) return log.error(line, 'another fault, while the platform stops')
    log.fatal(line, `${reason}: the platform stops, and is to be started again`)
    void shutdown.stop(reason).then(() => program.exit(1))
  })
}
