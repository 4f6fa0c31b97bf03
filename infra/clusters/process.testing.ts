import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { processesNaming } from '../../testing/processes.ts'
import type { ClusterHarness } from './contract.ts'
import type { JobHandle, JobSpec } from './port.ts'
import { killProcesses } from './process/end.ts'
import type { IsolationKind } from './process/isolation.ts'
import { killUser } from './process/kill-user.ts'
import { removeFiles } from './process/retention.ts'
import { membersOf, readProcessTable } from './process/table.ts'
import { processCluster } from './process.ts'

export { measureDisk } from './process/disk.ts'
export { parseProgressLine, progressLines } from './process/progress-lines.ts'

/** Removes the files of one attempt as the platform does. */
export const removeFilesOf = (folder: string): Promise<void> => removeFiles([folder])

/** How long a job in a test may take to end. */
export const graceMs = 300
const program = join(import.meta.dirname, '../../testing/programs/cluster.ts')

const roots: string[] = []

/** Makes a folder for attempts that any user may pass through. */
export const makeRoot = async () => {
  const root = await mkdtemp(join(tmpdir(), 'neuralmesh-clusters-'))
  await chmod(root, 0o755)
  roots.push(root)
  return root
}

/** Ends all that runs of the attempts in a folder. */
export const endJobsIn = async (root: string) => {
  for (const uid of await readdir(join(root, '.uids')).catch(() => [])) await killUser(Number(uid))
  await killProcesses(async () => (await processesNaming(root)).map(({ pid }) => pid))
}

const endLeftJobs = async () => {
  for (const root of roots.filter((path) => existsSync(path))) {
    await endJobsIn(root)
    await rm(root, { recursive: true, force: true })
  }
}
// A job that a failed test has left burdens the machine for all tests that follow. Programs load this file without Jest.
const { afterAll } = globalThis as { afterAll?: (hook: () => Promise<void>) => void }
afterAll?.(endLeftJobs)

/** Returns the folder of an attempt. */
export const folderOf = (root: string, { jobId, attempt }: JobHandle) => join(root, jobId, String(attempt))

/** Resolves to the processes that run and name the attempt in their environment, and their descendants. */
export const runningOf = async (root: string, handle: JobHandle) => {
  const identity = { folder: folderOf(root, handle), kind: 'none', uid: undefined, first: undefined } as const
  return (await membersOf(await readProcessTable(), identity)).job
}

/** Starts a program that launches the job; resolves when it prints `line`. */
export const launchElsewhere = async (
  root: string,
  spec: JobSpec,
  line: string,
  only?: IsolationKind,
): Promise<ChildProcess> => {
  const words = [program, root, JSON.stringify(spec), ...(only ? [only] : [])]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const printed of createInterface({ input: child.stdout })) if (printed === line) return child
  throw new Error(`the other program ended before it printed ${line}`)
}

/** Kills a program with SIGKILL and waits for its end. */
export const kill = async (child: ChildProcess) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const over = once(child, 'exit')
  child.kill('SIGKILL')
  await over
}

/** Makes the process engine on its own folder, for the contract. Jobs are isolated as the machine allows, or in one way
 *  `only`. */
export const processHarness = async (only?: IsolationKind): Promise<ClusterHarness> => {
  const root = await makeRoot()
  return {
    open: () => processCluster({ root, graceMs, trust: 'own', ...(only && { only }) }),
    launchAndDie: async (spec) => kill(await launchElsewhere(root, spec, 'started', only)),
    lose: async (handle) => {
      if (!(await killProcesses(() => runningOf(root, handle)))) throw new Error('processes of the job do not end')
    },
    processes: async (handle) => (await runningOf(root, handle)).length,
    close: () => rm(root, { recursive: true }),
  }
}
