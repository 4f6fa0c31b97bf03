/** Kills all processes of an attempt's user at once, those too that signal and start each other faster than they are seen.
 *  Linux kills all that one process may signal, while none of them can start another (kill(2), -1). That process must have
 *  the user of the job for it, and then the job could kill it first, unless its real and its saved user are others: so it
 *  gives up its effective user alone, which no program of a shell does. It could kill all of the machine if it kept the
 *  capability to. */
import { execFile } from 'node:child_process'
import { quoted } from '../../system/shell.ts'
import { lowestUid } from './uids.ts'

/** How long a machine that a job keeps busy may take to start node. */
const killSecondsMax = 60
/** The real user of the process that kills: no process runs as this one, see `claimUid`. */
const killerOf = 1

/** Bit 5 is the capability to signal any process (capabilities(7), CAP_KILL). */
const SCRIPT = `
const uid = Number(process.argv[1])
if (!(uid >= ${lowestUid})) throw new Error('no job has this user')
process.seteuid(uid)
const effective = /^CapEff:\\s*(\\w+)/m.exec(require('fs').readFileSync('/proc/self/status', 'utf8'))[1]
if (BigInt('0x' + effective) & 32n) throw new Error('this process could kill all others')
process.kill(-1, 'SIGKILL')
`
/** A job may run as many processes as two cores have no time for. Where nothing may be preferred to them, nice goes on. */
const preferred = ['nice', '-n', '-20']
const wordsOf = (ruid: string): string[] => [
  ...[...preferred, 'setpriv', `--ruid=${ruid}`, '--clear-groups'],
  ...['--inh-caps=-kill', '--bounding-set=-kill'],
]

/** The same for a shell, as a function: kill_user <uid>. Node is its channel 9, so that it may be removed meanwhile. */
export const KILL_USER = `
kill_user() {
  timeout -s KILL ${killSecondsMax} ${wordsOf(`$(($1 + ${killerOf}))`).join(' ')} /proc/self/fd/9 -e ${quoted(SCRIPT)} "$1"
}
`

/** Kills all processes of a user that belongs to one attempt. Resolves to whether it did: then none can start another any
 *  more, and those that are still seen are about to end. */
export const killUser = (uid: number): Promise<boolean> =>
  new Promise((resolve) => {
    const [file = '', ...words] = [...wordsOf(String(uid + killerOf)), `/proc/${process.pid}/exe`]
    const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
    const options = { cwd: '/', env, timeout: killSecondsMax * 1000, killSignal: 'SIGKILL' } as const
    execFile(file, [...words, '-e', SCRIPT, String(uid)], options, (error) => resolve(error === null))
  })
