/** npm run chaos -- --minutes N: kills all that writes and reads the log, at random and under load, and then proves
 *  that nothing is lost, doubled, torn or out of order. Exit code 0 only when every proof holds. Ctrl-C ends the kills
 *  early. */
import type { ParseArgsOptionsConfig } from 'node:util'
import { readNodes } from '../bench/eventstoredb/nodes.ts'
import { Failure } from '../domain/errors.ts'
import { listenToSignals } from '../infra/shutdown.ts'
import { readArguments } from '../infra/system/arguments.ts'
import { reportOf } from '../infra/system/report.ts'
import { progressLine, summary } from './chaos/report.ts'
import { type ChaosOptions, type Progress, runChaos } from './chaos/run.ts'
import { kindsOf, type Target, targets } from './chaos/schedule.ts'

export type { Verdict } from './chaos/run.ts'

const plainEveryMs = 10_000
const columnsDefault = 80

const usage = `npm run chaos -- [options]

  --minutes N          how long to kill (1)
  --seed N             repeats the schedule of an earlier run; also CHAOS_SEED
  --kill-every S       seconds between two kills of processes and connections, on average (1.5)
  --postgres-every S   seconds between two kills of servers, PostgreSQL or nodes, about (25)
  --kill LIST          what to kill, with commas: ${targets.join(', ')} (all)
  --eventstore FILE    the log is on an EventStoreDB: a JSON list of its nodes with url, pidFile and start
  --appends N          appends a second, of all appenders together, about (240)
  --rentals N          rentals a second, about (8)
  --json               the verdict as one JSON object on the standard output, progress on the other
`

const flags = {
  minutes: { type: 'string', default: '1' },
  seed: { type: 'string', default: process.env.CHAOS_SEED || String(Math.floor(Math.random() * 2 ** 31)) },
  'kill-every': { type: 'string', default: '1.5' },
  'postgres-every': { type: 'string', default: '25' },
  kill: { type: 'string', default: 'all' },
  eventstore: { type: 'string' },
  appends: { type: 'string', default: '240' },
  rentals: { type: 'string', default: '8' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const satisfies ParseArgsOptionsConfig

/** Returns the targets of the option; none for all of them. */
const targetsIn = (list: string): readonly Target[] =>
  list === 'all'
    ? []
    : list.split(',').map((name) => {
        const target = targets.find((known) => known === name.trim())
        if (target === undefined)
          throw new Failure('INPUT_INVALID', { kill: name, takes: `all, or some of ${targets.join(', ')}` })
        return target
      })

/** Reads the command line. Throws INPUT_INVALID. */
const readOptions = (): ChaosOptions & { readonly json: boolean; readonly help: boolean } => {
  const { values, positionals } = readArguments(flags)
  if (positionals.length > 0)
    throw new Failure('INPUT_INVALID', { arguments: positionals.join(' '), takes: 'options only' })
  const nodes = values.eventstore === undefined ? [] : readNodes(values.eventstore)
  const above = (name: Exclude<keyof typeof flags, 'json' | 'help' | 'kill' | 'eventstore'>, least: number): number => {
    const value = Number(values[name])
    if (!Number.isFinite(value) || value < least || values[name].trim() === '')
      throw new Failure('INPUT_INVALID', { [name]: values[name], takes: `a number from ${least}` })
    return value
  }
  return {
    minutes: above('minutes', 0.01),
    seed: above('seed', 0),
    killEverySeconds: above('kill-every', 0.05),
    serverEverySeconds: above('postgres-every', 1),
    kinds: kindsOf(targetsIn(values.kill), nodes.length),
    nodes,
    appendsPerSecond: above('appends', 1),
    rentalsPerSecond: above('rentals', 0.1),
    json: values.json,
    help: values.help,
  }
}

/** Shows progress: on a terminal as one line that changes, else as a line now and then. */
const createReporter = (out: NodeJS.WriteStream) => {
  let lastPhase = ''
  let lastAt = Number.NEGATIVE_INFINITY
  return {
    show: (progress: Progress) => {
      const line = progressLine(progress)
      if (out.isTTY) {
        out.write(`\r\x1b[2K${line.slice(0, (out.columns || columnsDefault) - 1)}`)
        return
      }
      const now = performance.now()
      if (progress.phase === lastPhase && now - lastAt < plainEveryMs) return
      lastPhase = progress.phase
      lastAt = now
      out.write(`${line}\n`)
    },
    clear: () => {
      if (out.isTTY) out.write('\r\x1b[2K')
    },
  }
}

const main = async (): Promise<number> => {
  const { json, help, ...options } = readOptions()
  if (help) {
    process.stdout.write(usage)
    return 0
  }
  const stop = new AbortController()
  listenToSignals(
    () => stop.abort(),
    // All children end with this process.
    () => process.exit(130),
  )
  const out = json ? process.stderr : process.stdout
  out.write(
    `CHAOS_SEED=${options.seed}, killing for ${options.minutes} minutes; Ctrl-C ends it early and still proves\n`,
  )
  const reporter = createReporter(out)
  const verdict = await runChaos(options, stop.signal, reporter.show)
  reporter.clear()
  process.stdout.write(json ? `${JSON.stringify(verdict)}\n` : `${summary(verdict)}\n`)
  return verdict.ok ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${reportOf(error).message}\n`)
  process.exitCode = 2
}
