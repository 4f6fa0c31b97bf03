// The common part of the tools of the command line: options, output of failures, Ctrl-C, exit codes.
import { Failure } from '../domain/errors.ts'
import { type Config, readConfig } from '../infra/config.ts'
import { createShutdown, type Shutdown } from '../infra/shutdown.ts'
import { readArguments } from '../infra/system/arguments.ts'
import { onLostOutput, printReport } from '../infra/system/report.ts'
import { createLog, type Log } from '../infra/telemetry.ts'
import { createProgress, type Progress } from './progress.ts'
import { reportOf } from './report.ts'

const interrupted = 130
/** The code of a shell for a program that has ended by SIGPIPE. */
const unread = 141
/** A tool that is stopped may be in the middle of a long statement. */
const stopMsMax = 20_000

type OptionTypes = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>
type Given<Options extends OptionTypes> = {
  readonly [Name in keyof Options]?: Options[Name]['type'] extends 'string' ? string : boolean
}

type Arguments<Options extends OptionTypes> = { readonly options: Given<Options>; readonly files: readonly string[] }

/** What a tool gets. `signal` aborts on Ctrl-C: the tool then removes what is half done, and throws. */
export type ToolContext = {
  readonly config: Config
  readonly log: Log
  readonly shutdown: Shutdown
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Prints one line for people; nothing with `--json`. */
  readonly printLine: (line: string) => void
  /** Prints the result for machines: with `--json` the last object, `{"result": …}`. */
  readonly answer: (result: Readonly<Record<string, unknown>>) => void
}

/** Runs one tool to its end and sets the exit code: 0 when done, 1 when it failed (code and message on standard error,
 *  with `--json` also `{"error": …}` on standard output), 130 after Ctrl-C, 141 when its output
 *  is no longer read. Closes everything that was opened. */
export const runTool = async <const Options extends OptionTypes, Opened>(tool: {
  readonly usage: string
  readonly options: Options
  /** What its progress counts; events when left out. */
  readonly counted?: string
  /** What to know after Ctrl-C. */
  readonly stopped?: string
  /** Checks the arguments and opens what the work needs. */
  readonly open: (given: Arguments<Options>, context: ToolContext) => Promise<Opened>
  /** Does the work. What was opened stays open until it has ended, also after Ctrl-C: it may have to remove
   *  something. */
  readonly run: (opened: Opened, given: Arguments<Options>, context: ToolContext) => Promise<void>
}): Promise<void> => {
  const json = process.argv.includes('--json')
  const printLine = (line: string) => {
    if (!json) process.stdout.write(`${line}\n`)
  }
  const print = (object: Readonly<Record<string, unknown>>) => {
    if (json) process.stdout.write(`${JSON.stringify(object)}\n`)
  }
  const progress = createProgress({
    terminal: process.stderr.isTTY === true,
    write: (text) => process.stderr.write(text),
    ...(tool.counted && { counted: tool.counted }),
    ...(json && { object: print }),
  })
  const fail = (error: unknown) => {
    process.exitCode = 1
    progress.end()
    const report = reportOf(error)
    const { code, message, details } = report
    print({ error: { code, message, details } })
    printReport(report)
  }
  try {
    const { help, ...given } = readGiven(tool.options)
    if (help) return console.log(tool.usage)
    const config = readConfig(process.env)
    const level = process.env.LOG_LEVEL ? config.logLevel : 'error'
    const log = createLog({ level, format: config.logFormat }, process.stderr)
    const shutdown = createShutdown(log, {
      on: (name, listener) => process.on(name, listener),
      off: (name, listener) => process.off(name, listener),
      exit: () => process.exit(interrupted),
    })
    const stopListening = shutdown.onSignals()
    onLostOutput((lost) => {
      void shutdown.stop(`its output is ${lost}`).then(() => process.exit(lost === 'unread' ? unread : 1))
    })
    // Parts are closed in reverse order, so a part that was added before the work is closed after it.
    const waitedFor = <Result>(work: Promise<Result>): Promise<Result> => {
      shutdown.add('work', () => work.catch(() => undefined), { closeMs: stopMsMax })
      return work
    }
    const answer = (result: Readonly<Record<string, unknown>>) => print({ result })
    const context = { config, log, shutdown, signal: shutdown.signal, progress, printLine, answer }
    try {
      const opened = await waitedFor(tool.open(given, context))
      await waitedFor(tool.run(opened, given, context))
    } catch (error) {
      if (!shutdown.signal.aborted) fail(error)
      else if (tool.stopped) process.stderr.write(`\n${tool.stopped}\n`)
    }
    await shutdown.stop('done')
    stopListening()
  } catch (error) {
    fail(error)
  }
}

const readGiven = <Options extends OptionTypes>(options: Options) => {
  const { values, positionals } = readArguments({ ...options, json: { type: 'boolean' }, help: { type: 'boolean' } })
  return {
    options: values as unknown as Given<Options>,
    files: positionals,
    help: Reflect.get(values, 'help') === true,
  }
}

/** Throws INPUT_INVALID where words were given to a tool that takes options only. */
export const refuseFiles = (files: readonly string[]): void => {
  if (files.length > 0) throw new Failure('INPUT_INVALID', { files: files.join(' '), takes: 'options only' })
}

/** Returns the file that was given to a tool that takes one. Throws INPUT_INVALID for none, and for several. */
export const oneFile = (files: readonly string[]): string => {
  const [file, ...more] = files
  if (file === undefined) throw new Failure('INPUT_INVALID', { file: 'name one file' })
  if (more.length > 0) throw new Failure('INPUT_INVALID', { files: files.join(' '), takes: 'one file' })
  return file
}
