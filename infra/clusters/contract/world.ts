import { randomUUID } from 'node:crypto'
import type { Cluster, JobHandle, JobOutcome, JobProgress, JobSpec, JobWatcher } from '../port.ts'

/** A cluster, empty at first, that several programs use. The engine's grace time should be short. */
export type ClusterHarness = {
  /** Opens the engine as a program that has just started. */
  open(): Cluster
  /** Launches the job from another program, which is killed (SIGKILL) once the job has started. */
  launchAndDie(spec: JobSpec): Promise<void>
  /** Ends all processes of the attempt without the engine, as when the machine goes down. */
  lose(handle: JobHandle): Promise<void>
  /** Resolves to the number of processes of the attempt that run. */
  processes(handle: JobHandle): Promise<number>
  close(): Promise<void>
}

/** Makes a job that ends at once with exit code 0; `spec` changes it. */
export const jobSpec = (spec: Partial<JobSpec> = {}): JobSpec => ({
  jobId: `job-${randomUUID()}`,
  attempt: 1,
  command: ['true'],
  files: [],
  environment: {},
  timeoutSeconds: 60,
  cpuCores: 1,
  memoryMib: 512,
  ...spec,
})

/** Makes a job that runs a script of the shell. */
export const shellJob = (script: string, spec: Partial<JobSpec> = {}): JobSpec =>
  jobSpec({ command: ['sh', '-c', script], ...spec })

export type Recorder = JobWatcher & {
  readonly calls: (string | JobProgress | JobOutcome)[]
  readonly percents: () => number[]
  readonly end: Promise<JobOutcome>
}

/** Makes a watcher that records its calls in order. */
export const recorder = (): Recorder => {
  const { promise: end, resolve } = Promise.withResolvers<JobOutcome>()
  const calls: Recorder['calls'] = []
  return {
    calls,
    percents: () => calls.flatMap((call) => (typeof call === 'object' && 'percent' in call ? [call.percent] : [])),
    end,
    started: () => calls.push('started'),
    progressed: (progress) => calls.push(progress),
    ended: (outcome) => {
      calls.push(outcome)
      resolve(outcome)
    },
  }
}

/** What the cases of the contract share: the cluster of this case, and helpers for it. */
export type ContractWorld = {
  readonly harness: () => ClusterHarness
  readonly cluster: () => Cluster
  /** Closes the cluster and opens another, as when the program restarts. */
  readonly reopen: (options: { readonly stopJobs: boolean }) => Promise<void>
  /** Registers a case of the contract. */
  readonly it: (name: string, body: () => Promise<void>) => void
  readonly logOf: (handle: JobHandle) => Promise<string>
  /** Launches, and waits until the job prints `ready`. */
  readonly launchUntilReady: (spec: JobSpec) => Promise<Recorder>
}
