/** Kills all processes of an attempt's user at once, also those that signal and start each other as fast as they can.
 *  Linux kills all that one process may signal while none of them can start another (kill(-1)). That process must have the
 *  user of the job for it, and then the job could kill it first, unless its real and its saved user are others
 *  (kill(2)): so it is a program that gives up the effective user alone, which no program of a shell does. */
import { execFile } from 'node:child_process'
import { quoted } from '../../system/shell.ts'

/** Before it runs `SCRIPT`, node needs as long as a busy machine takes to start it. */
const killMsMax = 10_000

/** The real user of the process that kills: no process runs as this one, see `claimUid`. */
const killerOf = 1

const SCRIPT = `
process.seteuid(Number(process.argv[1]))
try { process.kill(-1, 'SIGKILL') } catch (error) { if (error.code !== 'ESRCH') throw error }
`

/** The same for a shell, as a function: kill_user <uid>. */
export const KILL_USER = `
kill_user() {
  timeout -s KILL ${killMsMax / 1000} setpriv --ruid=$(($1 + ${killerOf})) --clear-groups ${quoted(process.execPath)} \\
    -e ${quoted(SCRIPT)} "$1"
}
`

/** Kills all processes of a user that belongs to one attempt. Resolves when that was tried; whether some are left shows the
 *  table of processes alone. */
export const killUser = (uid: number): Promise<void> =>
  new Promise((resolve) => {
    const words = [`--ruid=${uid + killerOf}`, '--clear-groups', process.execPath, '-e', SCRIPT, String(uid)]
    const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
    execFile('setpriv', words, { cwd: '/', env, timeout: killMsMax, killSignal: 'SIGKILL' }, () => resolve())
  })
