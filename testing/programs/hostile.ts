/** A platform of its own that runs hostile jobs, and prints what came of each as a line of JSON:
 *  node testing/programs/hostile.ts <folder> <isolation> [look]. With `look` it only prints the isolation. It is run as
 *  root and as an ordinary user. What takes too long is named on standard error, also at a SIGUSR2. */
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { createSemaphore } from '../../infra/async/semaphore.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { within } from '../../infra/async/within.ts'
import type { JobOutcome, JobSpec } from '../../infra/clusters/port.ts'
import { type IsolationKind, processCluster } from '../../infra/clusters/process.ts'
import { readProcessFile } from '../../infra/system/processes.ts'
import { readProcesses } from '../processes.ts'
import {
  type Attack,
  diskBytesMax,
  marker,
  napSeconds,
  outputBytesMax,
  quickAttacks,
  secretFiles,
  slowAttacks,
} from './hostile-attacks.ts'
import { memoryAttacks } from './hostile-memory.ts'
import { watchAttacks } from './hostile-watches.ts'

export type Report = {
  readonly name: string
  readonly outcome: JobOutcome
  readonly text: string
  readonly logBytes: number
  /** Processes of the attack that the machine still has. */
  readonly left: number
  readonly victimRuns: boolean
  /** Whether the secret in the job's environment stood on a command line. */
  readonly secretShown: boolean
}

const [, , folder = '', only = '', mode] = process.argv
const print = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`)
/** How long one step may take: longer than the longest job and its end on a busy machine. */
const stepMsMax = 150_000
const steps = new Set<string>()
const warnings: string[] = []
/** Names what has not come to its end, and what the platform has logged since. */
const tell = () => {
  const said = warnings.splice(0).join('\n')
  console.error(`not over: ${[...steps].join(', ')}; open: ${process.getActiveResourcesInfo().join(', ')}\n${said}`)
}
process.on('SIGUSR2', tell)
/** Resolves as the work does. Throws when that takes too long. */
const step = async <Value>(name: string, work: Promise<Value>): Promise<Value> => {
  steps.add(name)
  const late = (): never => {
    tell()
    throw new Error(`${name}: it takes longer than ${stepMsMax} ms`)
  }
  const value = await within(work, stepMsMax, late)
  steps.delete(name)
  return value
}
const data = join(folder, 'data')
const keys = join(data, 'keys', 'jwt')
const outside = join(folder, 'outside')
const root = join(data, 'jobs')
const project = join(folder, 'project')
for (const path of [root, project, join(data, 'keys')]) await mkdir(path, { recursive: true })
await mkdir(outside, { recursive: true, mode: 0o700 })
for (const name of secretFiles) await writeFile(join(folder, name), marker, { mode: 0o644 })

const cluster = processCluster({
  ...{
    root,
    hidden: [data, project],
    secretFiles: [join(folder, 'given.env')],
    only: only as IsolationKind,
    graceMs: 500,
    diskBytesMax,
    outputBytesMax,
    log: {
      info: () => undefined,
      warn: (details, message) => void warnings.push(`${message}: ${inspect(details)}`),
    },
  },
})
const { kind, reasons } = await cluster.isolation()
print({ isolation: kind, reasons })
if (mode === 'look' || kind === 'refused') process.exit(0)

const commandLines = () => readProcesses().map(({ pid, over }) => (over ? '' : readProcessFile(pid, 'cmdline')))
const nap = `sleep\0${napSeconds}`
const specOf = (spec: Partial<JobSpec>): JobSpec => ({
  ...{ jobId: `job-${randomUUID()}`, attempt: 1, command: ['true'], files: [], timeoutSeconds: 60 },
  ...{ cpuCores: 1, memoryMib: 512, environment: {} },
  ...spec,
})
const launch = async (spec: JobSpec) => {
  const { promise: end, resolve } = Promise.withResolvers<JobOutcome>()
  await cluster.launch(spec, { started: () => undefined, progressed: () => undefined, ended: resolve })
  return { end }
}
const textOf = async (spec: JobSpec) => (await cluster.readLog(spec, 0, outputBytesMax * 2)).text

const victim = specOf({
  timeoutSeconds: 600,
  command: ['sh', '-c', 'echo ready $1; while :; do sleep 0.2; done', 'sh', 'victim-nap'],
  files: [{ path: 'secret', content: marker }],
  environment: { SECRET: marker },
})
const { end: victimEnd } = await step('the start of the victim', launch(victim))
const isReady = async () => {
  while (!(await textOf(victim)).includes('ready')) await sleep(20)
}
await step('the victim', Promise.race([isReady(), victimEnd.then((end) => Promise.reject(new Error(inspect(end))))]))
const victimPid = readProcesses().find(({ pid }) =>
  readProcessFile(pid, 'cmdline').startsWith('sh\0-c\0echo ready'),
)?.pid
const victimRuns = async () => (await cluster.list()).some((found) => found.jobId === victim.jobId && found.running)

const perform = async ({ name, spec }: Attack) => {
  const environment = {
    ...{ PLATFORM: String(process.pid), VICTIM: String(victimPid), KEYS: keys, OUTSIDE: outside },
    INSTALLATION: folder,
    ...{ FOLDER: join(root, victim.jobId, '1'), SECRET: `${marker}-of-the-job` },
    ...spec.environment,
    // A job that names the folder of another one must not be taken for it.
    NEURALMESH_FOLDER: join(root, victim.jobId, '1'),
  }
  const jobId = `job-${randomUUID()}`
  const home = kind === 'uid' || kind === 'none' ? join(root, jobId, '1', 'work') : '/job'
  for (const [variable, value] of Object.entries(environment))
    environment[variable as keyof typeof environment] = value.replaceAll('$HOME', home)
  const attack = specOf({ ...spec, jobId, environment })
  const { end } = await step(`the start of: ${name}`, launch(attack))
  const secretShown = commandLines().some((line) => line.includes(`${marker}-of-the-job`))
  const outcome = await step(name, end)
  const left = commandLines().filter((line) => line.startsWith(nap)).length
  const text = await textOf(attack)
  const logBytes = Buffer.byteLength(text)
  print({ name, outcome, text: text.slice(-2000), logBytes, left, victimRuns: await victimRuns(), secretShown })
}
const oneOfFour = createSemaphore(4)
await Promise.all([
  // They mostly wait for their end.
  ...memoryAttacks(kind).map(perform),
  ...quickAttacks.map((attack) => oneOfFour(() => perform(attack))),
])
for (const attack of [...slowAttacks, ...watchAttacks]) if (!attack.leftOut) await perform(attack)

// A job that carries the folder of another one in its arguments and environment survives the end of that one.
const carrier = specOf({
  command: ['sh', '-c', 'echo ready; sleep 30', 'sh', join(root, victim.jobId, '1')],
  environment: { NEURALMESH_FOLDER: join(root, victim.jobId, '1') },
})
await step('the start of the carrier', launch(carrier))
await step('the stop of the victim', cluster.stop(victim))
const carried = (await cluster.list()).find(({ jobId }) => jobId === carrier.jobId)?.running
print({ carrierRuns: carried, victimRuns: await victimRuns() })
await step('the close', cluster.close({ stopJobs: true }))
