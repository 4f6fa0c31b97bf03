import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ClusterHarness } from './contract.ts'
import type { JobHandle, JobSpec } from './port.ts'
import { endProcesses } from './process/end.ts'
import { processesOf, readProcessTable } from './process/table.ts'
import { processCluster } from './process.ts'

/** How long a job in a test may take to end. */
export const graceMs = 300
const program = join(import.meta.dirname, '../../testing/programs/cluster.ts')

/** A folder for attempts that any user may pass through. */
export const makeRoot = async () => {
  const root = await mkdtemp(join(tmpdir(), 'neuralmesh-clusters-'))
  await chmod(root, 0o755)
  return root
}

export const folderOf = (root: string, { jobId, attempt }: JobHandle) => join(root, jobId, String(attempt))

/** The processes of the attempt that run. */
export const runningOf = (root: string, handle: JobHandle) =>
  processesOf(readProcessTable(), folderOf(root, handle), undefined)

/** Starts a program that launches the job; resolves when it says `line`. */
export const launchElsewhere = async (root: string, spec: JobSpec, line: string): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [program, root, JSON.stringify(spec)], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const said of createInterface({ input: child.stdout })) if (said === line) return child
  throw new Error(`the other program ended before it said ${line}`)
}

export const kill = async (child: ChildProcess) => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const over = once(child, 'exit')
  child.kill('SIGKILL')
  await over
}

/** The process engine on a folder of its own, for the contract. */
export const processHarness = async (): Promise<ClusterHarness> => {
  const root = await makeRoot()
  return {
    open: () => processCluster({ root, graceMs }),
    launchAndDie: async (spec) => kill(await launchElsewhere(root, spec, 'started')),
    lose: async (handle) => {
      if (!(await endProcesses(() => runningOf(root, handle), 0))) throw new Error('processes of the job do not end')
    },
    processes: async (handle) => runningOf(root, handle).length,
    close: () => rm(root, { recursive: true }),
  }
}
