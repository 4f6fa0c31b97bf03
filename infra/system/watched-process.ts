import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { identityOf, isAlive, isStopped, type ProcessIdentity, sendSignal } from './processes.ts'

/** Runs the program beside a reader of a pipe from this process. When this process ends, in any way, the pipe closes
 *  and the reader sends SIGINT. When the program ends, the script ends the reader, also one that is stopped, and exits
 *  with the program's status. */
const watchdog = `
exec 4<&0
"$@" 4<&- </dev/null >&2 &
child=$!
( while read -r _; do :; done; kill -INT $child ) <&4 3<&- >/dev/null 2>&1 &
reader=$!
echo $child $reader
exec 4<&- 3<&- >/dev/null 2>&1
wait $child
status=$?
kill -KILL $reader
wait $reader
exit $status
`

/** How long the reader may take to end by itself once its pipe is closed, and how often it is looked for. */
const goneMsMax = 1_000
const lookEachMs = 5

export type WatchedProcess = {
  /** The pid of the program itself. */
  readonly pid: number
  /** Resolves to the exit status when the watchdog and the reader beside it have ended, and the program too, unless the
   *  watchdog was killed by others: 128 plus the signal's number when it was killed. */
  readonly ended: Promise<number>
  running(): boolean
  /** Sends a signal; it is no error when the program has ended. */
  signal(name: NodeJS.Signals): void
  /** Returns true while the program or its watchdog is stopped (SIGSTOP), and handles no signal but SIGKILL. */
  stopped(): boolean
  /** Kills the program and its watchdog, also when they are stopped and handle no other signal. */
  kill(): void
}

/** Starts a program that gets SIGINT as soon as this process has ended, even by kill -9. The program must set a handler
 *  for it: a shell starts background programs with SIGINT ignored. It runs in its own session, so Ctrl-C in the
 *  terminal does not reach it. Both outputs go to `output`, a file descriptor. The program inherits `lock`,
 *  the descriptor of a lock that lasts as long as it and its children live. Throws when the program cannot be started. */
export const startWatched = async (options: {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly output: number
  readonly uid?: number | undefined
  readonly lock?: number | undefined
}): Promise<WatchedProcess> => {
  const { command, cwd, env, output, uid, lock } = options
  const shell = spawn('/bin/sh', ['-c', watchdog, 'watchdog', ...command], {
    cwd,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', output, ...(lock === undefined ? [] : [lock])],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  // This process never writes, but the end of the reader may still be reported here.
  shell.stdin?.on('error', () => undefined)
  let state: 'running' | 'ending' | 'ended' = 'running'
  let reader: ProcessIdentity | undefined
  let killed: ProcessIdentity | undefined
  let failure: unknown
  const ended = new Promise<number>((resolve) => {
    const end = async (status: number) => {
      state = 'ending'
      shell.stdin?.destroy()
      for (const process of [killed, reader]) if (process) await untilGone(process)
      state = 'ended'
      resolve(status)
    }
    shell.once('exit', (code) => void end(code ?? 137))
    shell.once('error', (error) => {
      failure = error
      void end(127)
    })
  })
  const line = new Promise<string>((resolve) => {
    if (shell.stdout) createInterface(shell.stdout).once('line', resolve)
  })
  const first = await Promise.race([line, ended])
  if (typeof first === 'number') throw new Error(`${command[0]} was not started (${first})`, { cause: failure })
  const [pid = 0, readerPid = 0] = first.split(' ').map(Number)
  reader = identityOf(readerPid)
  return {
    pid,
    running: () => state !== 'ended',
    ended,
    signal: (name) => {
      if (state === 'running') sendSignal(pid, name)
    },
    stopped: () => state === 'running' && [pid, shell.pid].some((one) => one !== undefined && isStopped(one)),
    kill: () => {
      if (state !== 'running') return
      killed = identityOf(pid)
      sendSignal(pid, 'SIGKILL')
      // The watchdog leads its own group, which its reader belongs to.
      if (shell.pid !== undefined) sendSignal(-shell.pid, 'SIGKILL')
    },
  }
}

const untilGone = async (process: ProcessIdentity): Promise<void> => {
  const until = performance.now() + goneMsMax
  while (isAlive(process)) {
    if (performance.now() > until) sendSignal(process.pid, 'SIGKILL')
    await sleep(lookEachMs)
  }
}
