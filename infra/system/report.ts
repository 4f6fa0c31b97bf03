// How a program shows an error on the terminal: a code, what is wrong, where, and what to do.
import { Failure } from '../../domain/errors.ts'
import { errorCode } from './errors.ts'

export type Report = {
  readonly code: string
  readonly message: string
  readonly details: Readonly<Record<string, string>>
  /** The stack of an error that the program does not expect. */
  readonly stack?: string
}

/** Returns what the terminal shows of an error. Errors of files and folders get the code PATH_UNUSABLE. */
export const reportOf = (error: unknown): Report => {
  const failure = error instanceof Failure ? error : pathFailureOf(error)
  if (failure === undefined) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    return { code: 'INTERNAL', message: `INTERNAL: ${message}`, details: {}, ...(stack && { stack }) }
  }
  const { code, message, details } = failure
  return { code, message: `${code}: ${message}`, details }
}

const pathFailureOf = (error: unknown): Failure | undefined => {
  const { path, syscall } = (error ?? {}) as { readonly path?: unknown; readonly syscall?: unknown }
  if (typeof path !== 'string' || typeof syscall !== 'string') return undefined
  return new Failure('PATH_UNUSABLE', { path, reason: errorCode(error) ?? (error as Error).message }, error)
}

/** Prints a report to standard error. */
export const printReport = ({ message, stack }: Report): void => {
  process.stderr.write(`\n${stack === undefined ? message : `${message}\n${stack}`}\n\n`)
}

/** Why output is lost: it is no longer read, as in `… | head`, or it cannot be written, as on a full disk. */
export type LostOutput = 'unread' | 'unwritable'

/** Ends the program in order when its output is lost, instead of the stack of an EPIPE or ENOSPC. Output that cannot be
 *  written is reported on standard error first, unless that is what cannot be written.
 *  @param end ends it; called once. */
export const onLostOutput = (end: (lost: LostOutput) => void): void => {
  let isLost = false
  for (const [stream, name] of [
    [process.stdout, 'standard output'],
    [process.stderr, 'standard error'],
  ] as const)
    stream.on('error', (error) => {
      if (isLost) return
      isLost = true
      const reason = errorCode(error) ?? error.message
      if (reason === 'EPIPE') return end('unread')
      if (stream === process.stdout) printReport(reportOf(new Failure('PATH_UNUSABLE', { path: name, reason }, error)))
      end('unwritable')
    })
}
