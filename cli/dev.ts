// Runs the platform, and starts it again whenever a source file changes: npm run dev. Besides the settings of the
// environment it takes those of .env; those of the environment go first.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, watch } from 'node:fs'
import { join, relative } from 'node:path'
import { createSignal } from '../infra/async/signal.ts'
import { sleep } from '../infra/async/sleep.ts'
import { readHelp, takesSettings } from '../infra/system/arguments.ts'
import { printReport } from '../infra/system/report.ts'
import { reportOf } from './report.ts'

const usage = `npm run dev
  Runs the platform, and starts it again whenever a source file changes. It takes no options: settings are environment
  variables and lines of .env (docs/configuration.md).`

const root = join(import.meta.dirname, '..')
/** The folders that main.ts imports from. */
export const watchedFolders = [
  'commands',
  'contracts',
  'domain',
  'gateway',
  'infra',
  'processes',
  'projections',
  'roles',
  'scheduler',
] as const
/** A change of a branch touches many files: the restart waits until none has changed for this long. */
const quietMs = 100
const stopMsMax = 20_000
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Returns whether a change of this file matters. A name without a dot may be that of a new folder. */
const isSource = (name: string): boolean =>
  (/\.(ts|mjs)$/.test(name) && !/\.(spec|testing)\.ts$/.test(name)) || !/\./.test(name)

const foldersBelow = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap(({ name }) => foldersBelow(join(folder, name)))
        .concat(folder)
    : []

type Sources = {
  /** Resolves to the file that changed last, once there was a change since the last call and none followed for a
   *  moment; to undefined when the signal aborts. */
  nextChange(signal: AbortSignal): Promise<string | undefined>
}

/** Watches each folder by itself: a recursive watch on Linux is one watch per file, and loses a file that an editor
 *  replaces. */
const watchSources = (): Sources => {
  const watched = new Set<string>()
  const changed = createSignal()
  let newest: string | undefined

  const watchFolder = (folder: string, isOfInterest: (name: string) => boolean) => {
    if (watched.has(folder)) return
    watched.add(folder)
    const watcher = watch(folder, (_, name) => {
      if (name === null || !isOfInterest(name)) return
      newest = relative(root, join(folder, name))
      changed.notify()
    })
    const forget = () => {
      watcher.close()
      watched.delete(folder)
    }
    watcher.on('error', forget)
  }
  const watchAll = () => {
    watchFolder(root, (name) => name === 'main.ts' || name === '.env')
    for (const folder of [...watched]) if (!existsSync(folder)) watched.delete(folder)
    for (const folder of watchedFolders.flatMap((name) => foldersBelow(join(root, name)))) watchFolder(folder, isSource)
  }

  watchAll()
  return {
    nextChange: async (signal) => {
      while (newest === undefined && !signal.aborted) await changed.wait({ signal })
      let file = newest
      while (newest !== undefined && !signal.aborted) {
        file = newest
        newest = undefined
        await sleep(quietMs, signal)
      }
      watchAll()
      return signal.aborted ? undefined : file
    },
  }
}

type RunningPlatform = {
  /** Asks it to end, kills it when it does not in time, and resolves to its exit code: 0 also when it ended by that
   *  request before it could handle signals. */
  stop(): Promise<number>
}

/** Ends the platform in order as soon as its standard input closes: that is when this process is gone, also by kill -9. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  "process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM')).on('error', () => {}).resume().unref()",
)}`

const startPlatform = (): RunningPlatform => {
  const settings = existsSync(join(root, '.env')) ? [`--env-file=${join(root, '.env')}`] : []
  const child = spawn(process.execPath, [...settings, '--import', endWithParent, join(root, 'main.ts')], {
    stdio: ['pipe', 'inherit', 'inherit'],
    // Ctrl-C reaches this program alone, which then stops the platform in order.
    detached: true,
  })
  child.stdin.on('error', () => undefined)
  let stopping = false
  const ended = once(child, 'exit').then(([code, signal]) => {
    if (!stopping)
      console.log(`\nThe platform ended with ${code ?? signal}. It starts again when a source file changes.\n`)
    return (code as number | null) ?? (signal === 'SIGTERM' ? 0 : 1)
  })
  return {
    stop: async () => {
      stopping = true
      const late = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
      if (child.exitCode === null) child.kill('SIGTERM')
      const code = await ended
      clearTimeout(late)
      return code
    },
  }
}

const run = async (): Promise<void> => {
  const controller = new AbortController()
  const { signal } = controller
  for (const name of signals) process.on(name, () => controller.abort())
  const sources = watchSources()
  for (let code = 0; ; ) {
    // The watchers keep the process alive, so it is ended here, whichever wait the signal has met.
    if (signal.aborted) process.exit(code)
    const platform = startPlatform()
    const file = await sources.nextChange(signal)
    if (file !== undefined) console.log(`\n${file} has changed. The platform starts again.\n`)
    code = await platform.stop()
  }
}

if (import.meta.main)
  try {
    if (readHelp(takesSettings)) console.log(usage)
    else await run()
  } catch (error) {
    printReport(reportOf(error))
    process.exit(1)
  }
