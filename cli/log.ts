// Looks after the log: npm run log -- check [--json]
import { Failure } from '../domain/errors.ts'
import { openInstallation } from './installation.ts'
import { checkLog } from './log/check.ts'
import { runTool } from './tool.ts'

export { checkLog } from './log/check.ts'

const usage = `npm run log -- check [--json]
  check   looks through the whole log: positions, revisions of each stream, event ids, readable events, balances. The
          exit code is 1 when something is wrong. It changes nothing, and works while the platform runs.
  --json  one JSON object per line; the last has the result (npm run -s adds no lines of npm)
  The log is that of DATABASE_URL and EVENTSTORE_URL, else of the embedded PostgreSQL under DATA_DIR.`

if (import.meta.main)
  await runTool({
    usage,
    options: {},
    open: async ({ files: [command, ...more] }, { config, log, shutdown }) => {
      if (command !== 'check' || more.length > 0)
        throw new Failure('INPUT_INVALID', { command: [command, ...more].join(' '), takes: 'check' })
      return openInstallation({ config, log, shutdown })
    },
    run: async ({ store }, _, { signal, progress, printLine, answer }) => {
      const began = performance.now()
      const { events, streams, position, problems } = await checkLog(store, { signal, onProgress: progress.report })
      progress.end()
      const seconds = (performance.now() - began) / 1000
      printLine(`${events} events in ${streams} streams looked through in ${seconds.toFixed(1)} s, up to ${position}.`)
      for (const { kind, count, first } of problems)
        printLine(`${kind}: ${count}\n${first.map((what) => `  ${what}`).join('\n')}`)
      if (problems.length === 0) printLine('Nothing is wrong.')
      answer({ events, streams, position, seconds, problems })
      if (problems.length > 0)
        throw new Failure('LOG_DAMAGED', Object.fromEntries(problems.map(({ kind, count }) => [kind, String(count)])))
    },
  })
