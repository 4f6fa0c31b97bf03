// A job that signals all that it may does not outlive its time, also while no platform runs.
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { readProcesses } from '../../../testing/processes.ts'
import { sleep } from '../../async/sleep.ts'
import { readProcessFile, sendSignal, userOf } from '../../system/processes.ts'
import { jobSpec, recorder } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { graceMs, kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { type IsolationKind, processCluster } from '../process.ts'
import { killProcesses } from './end.ts'
import { readLaunch, readProcess } from './reading.ts'

const kinds: IsolationKind[] = []
for (const kind of ['root-namespaces', 'uid', 'user-namespaces', 'bubblewrap'] as const) {
  const root = await makeRoot()
  const cluster = processCluster({ root, only: kind })
  if ((await cluster.isolation()).kind === kind) kinds.push(kind)
  await cluster.close({ stopJobs: true })
  await rm(root, { recursive: true })
}
/** How long its end may take beyond timeout and grace. */
const endMsMax = 30_000
/** What has ended and stays for so long is not collected at all; and from when on that is looked at. */
const [collectMs, longMs] = [2_000, 12_000]

const ignoring = `$SIG{$_} = 'IGNORE' for qw(HUP INT QUIT USR1 USR2 PIPE ALRM TERM TSTP TTIN TTOU); use POSIX;`
/** Signals all from a session of its own, again and again. */
const looper = (signal: string) => `${ignoring} fork and exit 0; POSIX::setsid(); kill '${signal}', -1 while 1`
/** Signals all from another process each time, in one chain or in eight. */
const hopper = (signal: string, forks: string) =>
  `${ignoring} fork and exit 0; POSIX::setsid(); ${forks}
while (1) { kill '${signal}', -1 for 1 .. 5; fork and exit 0 }`
const scripts = ['STOP', 'KILL', 'TERM', 'INT'].flatMap((signal) => [
  { name: `a loop of ${signal}`, script: looper(signal), hops: false },
  { name: `${signal} from one process after the other`, script: hopper(signal, ''), hops: true },
  { name: `${signal} from eight processes after others`, script: hopper(signal, 'fork; fork; fork;'), hops: true },
])

/** Returns how many processes carry this mark on their command line, as far as they live long enough to be seen. */
const marked = (mark: string) =>
  readProcesses().filter(({ pid, over }) => !over && readProcessFile(pid, 'cmdline').includes(mark)).length

/** Resolves to whether Linux lets a user have two processes more beside so many: a shell and what it starts. */
const hasRoom = (uid: number, beside: number): Promise<boolean> => {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  const words = [`--nproc=${beside + 2}:${beside + 2}`, 'setpriv', ...user, 'sh', '-c', '/bin/true; exit 0']
  return promisify(execFile)('prlimit', words).then(
    () => true,
    () => false,
  )
}
const endedOf = (uid: number) => readProcesses().flatMap(({ pid, over }) => (over && userOf(pid) === uid ? [pid] : []))

/** Resolves to whether no process of this user runs. Linux counts them, seen or not, and those too that have ended: most
 *  machines collect these within a second, and some never, which is looked at where it takes `long`. */
const ownsNothing = async (uid: number, long: boolean): Promise<boolean> => {
  if (await hasRoom(uid, 0)) return true
  if (!long) return false
  const before = endedOf(uid)
  await sleep(collectMs)
  return String(endedOf(uid)) === String(before) && (await hasRoom(uid, before.length))
}

/** Launches such a job from a program that is killed then, and calls `attempt` once it runs. Whatever happens there, the job
 *  is gone afterwards: it would burden the machine forever. */
const withJob = async (
  { kind, name, script, timeoutSeconds }: { kind: IsolationKind; name: string; script: string; timeoutSeconds: number },
  attempt: (job: { root: string; spec: JobSpec; folder: string; isOver: () => Promise<boolean> }) => Promise<void>,
) => {
  const began = performance.now()
  const root = await makeRoot()
  const mark = `signals-${process.pid}-${kind}-${name.replaceAll(' ', '-')}`
  const command = ['sh', '-c', `perl -e "$0" ${mark}; sleep 100`, script]
  const spec = jobSpec({ command, timeoutSeconds, graceSeconds: 1 })
  await kill(await launchElsewhere(root, spec, 'started', kind))
  const folder = `${root}/${spec.jobId}/1`
  const launch = await readLaunch(folder)
  const uid = launch?.uid
  const isOver = async () =>
    marked(mark) + marked(folder) === 0 &&
    (uid === undefined || (await ownsNothing(uid, performance.now() - began > longMs)))
  try {
    expect(launch?.kind).toBe(kind)
    await attempt({ root, spec, folder, isOver })
  } finally {
    await killProcesses(() => runningOf(root, spec), { uid })
  }
  await rm(root, { recursive: true })
}

// A namespace of processes ends with its first process, however many there are.
const cases = (kinds.length > 0 ? kinds : (['none'] as const)).flatMap((kind) =>
  scripts
    .filter(({ name, hops }) => !hops || kind === 'uid' || name.startsWith('TERM'))
    .map(({ name, script }) => [kind, name, script] as const),
)
// Nothing keeps such a job from signalling all processes of the machine where nothing isolates it.
const testIsolated = kinds.length > 0 ? test : test.skip
testIsolated.each(cases)('behind %s: %s', (kind, name, script) =>
  withJob({ kind, name, script, timeoutSeconds: 2 }, async ({ root, spec, isOver }) => {
    await eventually('all has ended', isOver, endMsMax)
    const [cluster, watcher] = [processCluster({ root, graceMs, only: kind }), recorder()]
    await cluster.launch(spec, watcher)
    // It may have ended its own first process.
    expect(['failed', 'exited']).toContain((await watcher.end).ended)
    await cluster.close({ stopJobs: true })
  }),
)

const testUid = kinds.includes('uid') ? test : test.skip
testUid.each(scripts)('without its first process, behind uid: $name', ({ name, script }) =>
  withJob(
    { kind: 'uid', name: `alone ${name}`, script, timeoutSeconds: 100 },
    async ({ root, spec, folder, isOver }) => {
      const first = await readProcess(folder)
      if (first === undefined) throw new Error('the job has no first process')
      // The job may have ended it: it signals all that it may.
      sendSignal(first.pid, 'SIGKILL')
      const cluster = processCluster({ root, graceMs, only: 'uid' })
      await cluster.stop(spec)
      // Linux may take a while to collect what has ended.
      await eventually('nothing is left', isOver, endMsMax)
      await cluster.close({ stopJobs: true })
    },
  ),
)
