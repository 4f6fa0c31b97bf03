import { pino } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { LogLevel } from './config.ts'
import { shownInLine } from './telemetry/shown.ts'

export type Log = pino.Logger
export type Metrics = Registry
type Destination = { write(text: string): void }

/** Makes the log, which writes to standard output: one JSON object a line, or one line for people. `level` is a name in
 *  the JSON too. An error goes under `err`, with its code and details. Of what is long a line has the beginning, and 32 KiB
 *  at most. `part` names the part of the program that logs: `log.child({ part: 'cluster' })`. */
export const createLog = (
  { level, format }: { level: LogLevel; format: 'pretty' | 'json' },
  destination: Destination = process.stdout,
): Log =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: name }) },
      hooks: {
        logMethod(given, method) {
          method.apply(this, shownInLine(given) as typeof given)
        },
      },
      // It is plain data by then.
      serializers: { err: (shown) => shown },
    },
    format === 'json' ? destination : { write: (line: string) => destination.write(prettyLine(line)) },
  )

/** Makes the registry that Prometheus reads: the default metrics of the process, and those that the parts add. It is
 *  not the global one of the library, so that several platforms fit into one process. */
export const createMetrics = (): Metrics => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** Turns a JSON log line into one for people: time, level, part, message, the other fields, the stack of an unexpected
 *  error. */
export const prettyLine = (line: string): string => {
  const { time, level, part, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const clock = String(time).slice(11, 19)
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${plain(value)}`)
  const error = err === undefined ? undefined : readError(err)
  if (error !== undefined && error.message !== msg) fields.push(`error=${plain(error.message)}`)
  const words = [clock, String(level).padEnd(5), part, msg, ...fields].filter((word) => word !== undefined)
  const head = words.map((word) => oneLine(String(word))).join(' ')
  return error?.stack === undefined ? `${head}\n` : `${head}\n${error.stack}\n`
}

/** Writes control characters, line breaks and changes of the writing direction as escapes: a name that a stranger chose
 *  can neither add a line nor steer the terminal. */
const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    return `\\u${code.toString(16).padStart(4, '0')}`
  })

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** Leaves out the stack of a Failure, which has a hint instead: the stack only helps with an unexpected error. */
const readError = (err: unknown): { message: string; stack?: string } => {
  if (typeof err !== 'object' || err === null) return { message: plain(err) }
  const { type, message, code, stack } = err as Record<string, unknown>
  if (type === 'Failure') return { message: `${code}: ${message}` }
  return typeof stack === 'string' ? { message: plain(message), stack } : { message: plain(message) }
}
