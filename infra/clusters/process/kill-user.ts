/** Kills all processes of an attempt's user at once, those too that signal and start each other faster than they are seen.
 *  Linux kills all that one process may signal, while none of them can start another (kill(2), -1). That process must have
 *  the user of the job for it, and then the job could kill it first, unless its real and its saved user are others: so it
 *  takes the effective user alone, which no program of a shell does. It has the one capability that this needs, and with it
 *  it can signal no other user's processes (capabilities(7)). */
import { spawn } from 'node:child_process'
import { type FileHandle, open } from 'node:fs/promises'
import { createSemaphore } from '../../async/semaphore.ts'
import { machinePath, quoted } from '../../system/shell.ts'
import { lowestUid } from './uids.ts'

/** How long node may take to start in its turn, and how long where a job keeps the machine busy. */
const gentleSecondsMax = 2
const killSecondsMax = 60
/** How long a shell waits for its turn before it kills beside others. */
const turnSecondsMax = 20
/** How long after its time one may take that the kernel does not end. */
const lateMsMax = 5_000
/** How many of these processes this program runs at once: each is a whole node, and jobs may end all at once. */
const killersMax = 2
/** The real user of the process that kills: no process runs as this one, see `claimUid`. */
const killerOf = 1

const SCRIPT = `
const uid = Number(process.argv[1])
if (!(uid >= ${lowestUid})) throw new Error('no job has this user')
process.seteuid(uid)
process.kill(-1, 'SIGKILL')
`
/** A job may run as many processes as two cores have no time for. Where nothing may be preferred to them, nice goes on. */
const preferred = ['nice', '-n', '-20']
/** With it the killer can also not be given another priority or core by the job, which lacks it (sched_setscheduler(2)). */
const only = '-all,+setuid'
// Node is a channel: its file may be removed meanwhile, and lie where only the platform may read.
const wordsOf = (uid: string, channel: number): string[] => [
  ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
  ...[`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`, `/proc/self/fd/${channel}`],
]
const shellWords = `${wordsOf(`$(($1 + ${killerOf}))`, 9).join(' ')} -e ${quoted(SCRIPT)} "$1"`

/** The same for a shell, as a function: kill_user <uid> <folder>. Its channel 9 is node. Of all shells with the same folder,
 *  which no job may enter, one does it at a time, first; where there are no turns, or none in time, each does it at once. */
export const KILL_USER = `
kill_user() {
  [ -d "$2" ] && flock -w ${turnSecondsMax} "$2" timeout -s KILL ${gentleSecondsMax} ${shellWords} ||
    timeout -s KILL ${killSecondsMax} ${preferred.join(' ')} ${shellWords}
}
`

const killers = createSemaphore(killersMax)

/** Kills all processes of a user that belongs to one attempt. Resolves to undefined when it did: then none can start another
 *  any more, and those that are still seen are about to end. Else resolves to why not. */
export const killUser = (uid: number): Promise<string | undefined> =>
  killers(async () => (await killOnce(uid, [], gentleSecondsMax)) && (await killOnce(uid, preferred, killSecondsMax)))

const killOnce = async (uid: number, before: readonly string[], secondsMax: number): Promise<string | undefined> => {
  let node: FileHandle | undefined
  try {
    node = await open('/proc/self/exe')
    const [file = '', ...words] = [...before, ...wordsOf(String(uid + killerOf), 3), '-e', SCRIPT, String(uid)]
    const child = spawn(file, words, {
      cwd: '/',
      env: { PATH: machinePath },
      stdio: ['ignore', 'ignore', 'ignore', node.fd],
      timeout: secondsMax * 1000,
      killSignal: 'SIGKILL',
    })
    return await new Promise((resolve) => {
      const late = setTimeout(() => resolve('setpriv or node does not end'), secondsMax * 1000 + lateMsMax).unref()
      child.once('close', () => clearTimeout(late))
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) =>
        resolve(code === 0 ? undefined : `setpriv or node ended with ${code ?? signal}`),
      )
    })
  } catch (error) {
    // Also spawn itself throws, where there is no memory.
    return String(error)
  } finally {
    await node?.close()
  }
}
