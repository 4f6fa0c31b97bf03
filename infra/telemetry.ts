import { pino } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { LogLevel } from './config.ts'

export type Log = pino.Logger
export type Metrics = Registry
type Destination = { write(text: string): void }

/** Writes log lines to standard output: one JSON object each, or one line for people. `level` is a name in the JSON too.
 *  An error goes under `err`; its code and details come along. `part` names who speaks: `log.child({ part: 'jobs' })`. */
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
    },
    format === 'json' ? destination : { write: (line: string) => destination.write(prettyLine(line)) },
  )

/** What Prometheus reads: the default figures of the process, and what the parts add. A registry of its own, so that
 *  several platforms fit into one process. */
export const createMetrics = (): Metrics => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** One JSON log line for people: time, level, part, message, the other fields, and the stack of an unexpected error. */
export const prettyLine = (line: string): string => {
  const { time, level, part, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const clock = String(time).slice(11, 19)
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${plain(value)}`)
  const error = err === undefined ? undefined : readError(err)
  if (error !== undefined && error.message !== msg) fields.push(`error=${plain(error.message)}`)
  const head = [clock, String(level).padEnd(5), part, msg, ...fields].filter((word) => word !== undefined).join(' ')
  return error?.stack === undefined ? `${head}\n` : `${head}\n${error.stack}\n`
}

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** A failure says in its message what to do; only of an error that nobody expected the stack helps. */
const readError = (err: unknown): { message: string; stack?: string } => {
  if (typeof err !== 'object' || err === null) return { message: plain(err) }
  const { type, message, code, stack } = err as Record<string, unknown>
  if (type === 'Failure') return { message: `${code}: ${message}` }
  return typeof stack === 'string' ? { message: plain(message), stack } : { message: plain(message) }
}
