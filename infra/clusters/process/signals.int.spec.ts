// A job that signals all that it may does not outlive its time, also while no platform runs.
import { rm } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { readProcesses } from '../../../testing/processes.ts'
import { readProcessFile } from '../../system/processes.ts'
import { jobSpec, recorder } from '../contract.ts'
import { graceMs, kill, launchElsewhere, makeRoot } from '../process.testing.ts'
import { type IsolationKind, processCluster } from '../process.ts'
import { readLaunch } from './reading.ts'

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

const ignoring = `$SIG{$_} = 'IGNORE' for qw(HUP INT QUIT USR1 USR2 PIPE ALRM TERM TSTP TTIN TTOU); use POSIX;`
/** Signals all from a session of its own, again and again. */
const looper = (signal: string) => `${ignoring} fork and exit 0; POSIX::setsid(); kill '${signal}', -1 while 1`
/** Signals all from another process each time. */
const hopper = (signal: string) =>
  `${ignoring} fork and exit 0; POSIX::setsid(); while (1) { kill '${signal}', -1 for 1 .. 5; fork and exit 0 }`
const scripts = ['STOP', 'KILL', 'TERM', 'INT'].flatMap((signal) => [
  [`a loop of ${signal}`, looper(signal)] as const,
  ...(signal === 'TERM' ? [[`${signal} from one process after the other`, hopper(signal)] as const] : []),
])

/** Returns how many processes carry this mark on their command line. */
const marked = (mark: string) =>
  readProcesses().filter(({ pid, over }) => !over && readProcessFile(pid, 'cmdline').includes(mark)).length

const cases = (kinds.length > 0 ? kinds : (['none'] as const)).flatMap((kind) =>
  scripts.map(([name, script]) => [kind, name, script] as const),
)
// Nothing keeps such a job from signalling all processes of the machine where nothing isolates it.
const testIsolated = kinds.length > 0 ? test : test.skip
testIsolated.each(cases)('behind %s: %s', async (kind, name, script) => {
  const root = await makeRoot()
  const mark = `signals-${process.pid}-${kind}-${name.replaceAll(' ', '-')}`
  const command = ['sh', '-c', `perl -e "$0" ${mark}; sleep 100`, script]
  const spec = jobSpec({ command, timeoutSeconds: 2, graceSeconds: 1 })
  await kill(await launchElsewhere(root, spec, 'started', kind))
  const folder = `${root}/${spec.jobId}/1`
  expect((await readLaunch(folder))?.kind).toBe(kind)
  const isOver = () => marked(mark) + marked(folder) === 0
  await eventually('all has ended', isOver, endMsMax)
  const [cluster, watcher] = [processCluster({ root, graceMs, only: kind }), recorder()]
  await cluster.launch(spec, watcher)
  // It may have ended its own first process.
  expect(['failed', 'exited']).toContain((await watcher.end).ended)
  await cluster.close({ stopJobs: true })
  await rm(root, { recursive: true })
})
