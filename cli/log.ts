// Looks after the log: npm run log -- check|adopt [--json]
import { Failure } from '../domain/errors.ts'
import { counted } from '../domain/text.ts'
import { type AdoptableLog, type Installation, openAdoptable, openInstallation } from './installation.ts'
import { setBackToLog } from './log/adopt.ts'
import { checkLog } from './log/check.ts'
import { runTool, type ToolContext } from './tool.ts'

export { checkLog } from './log/check.ts'

const usage = `npm run log -- check|adopt [--json]
  check   looks through the whole log: positions, revisions of each stream, event ids, readable events, balances. The
          exit code is 1 when something is wrong. It changes nothing, and works while the platform runs.
  adopt   takes the log as it is now, after a backup was put back or events were lost (LOG_REPLACED): checks it, begins a
          new epoch of positions, and sets back what is ahead of it: read models, consumers, timers. Stop all platforms first.
  --json  one JSON object per line; the last has the result (npm run -s adds no lines of npm)
  The log is that of DATABASE_URL and EVENTSTORE_URL, else of the embedded PostgreSQL under DATA_DIR.`

/** Checks the log and prints the result. Throws LOG_DAMAGED. */
const check = async (
  { store }: Pick<Installation, 'store'>,
  { signal, progress, printLine }: ToolContext,
  onResult: (result: Readonly<Record<string, unknown>>) => void = () => undefined,
): Promise<void> => {
  const began = performance.now()
  const { events, streams, position, problems } = await checkLog(store, { signal, onProgress: progress.report })
  progress.end()
  const seconds = (performance.now() - began) / 1000
  printLine(
    `${counted(events, 'event')} in ${counted(streams, 'stream')} looked through in ${seconds.toFixed(1)} s, up to ${position}.`,
  )
  for (const { kind, count, first } of problems)
    printLine(`${kind}: ${count}\n${first.map((what) => `  ${what}`).join('\n')}`)
  if (problems.length === 0) printLine('Nothing is wrong.')
  onResult({ events, streams, position, seconds, problems })
  if (problems.length > 0)
    throw new Failure('LOG_DAMAGED', Object.fromEntries(problems.map(({ kind, count }) => [kind, String(count)])))
}

const adopt = async (adoptable: AdoptableLog, context: ToolContext): Promise<void> => {
  const { printLine, answer } = context
  await check(adoptable, context)
  const { epoch, store } = await adoptable.adopt(Date.now())
  const { database, kept } = adoptable
  const { position, lost, readModels, consumers, timers, rescans } = await setBackToLog({
    database,
    store,
    epoch,
    kept,
  })
  await adoptable.forgetKept()
  printLine(`The log is adopted up to ${position}. What follows has ${epoch} in its position.`)
  for (const event of lost)
    printLine(`It lacks ${event.position}: event ${event.id}, revision ${event.revision} of ${event.stream}.`)
  for (const { name, position } of readModels) printLine(`The read model ${name} was at ${position}: it is built anew.`)
  for (const { name, position, to = 'the beginning' } of consumers)
    printLine(`The consumer ${name} was at ${position}: it goes on from ${to}.`)
  if (timers > 0) printLine(`Timers of rentals that the log does not have: ${timers} removed.`)
  for (const { contract, from, to } of rescans)
    printLine(`Blocks ${from} to ${to} of ${contract} are read again for deposits that were lost.`)
  if (readModels.length + consumers.length + timers === 0) printLine('Nothing was ahead of it.')
  answer({
    epoch,
    position,
    lost: lost.map(({ position }) => position),
    readModels,
    consumers: consumers.map(({ to = null, ...consumer }) => ({ ...consumer, to })),
    timers,
    rescans: rescans.map(({ contract, from, to }) => ({ contract, from: String(from), to: String(to) })),
  })
}

if (import.meta.main)
  await runTool({
    usage,
    options: {},
    open: async ({ files: [command, ...more] }, { config, log, shutdown }) => {
      if ((command !== 'check' && command !== 'adopt') || more.length > 0)
        throw new Failure('INPUT_INVALID', { command: [command, ...more].join(' ') || 'none', takes: 'check or adopt' })
      const options = { config, log, shutdown }
      if (command === 'check') {
        const installation = await openInstallation(options)
        return (context: ToolContext) => check(installation, context, context.answer)
      }
      const adoptable = await openAdoptable(options)
      return (context: ToolContext) => adopt(adoptable, context)
    },
    run: (work, _, context) => work(context),
  })
