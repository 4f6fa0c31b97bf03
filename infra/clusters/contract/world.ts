import { randomUUID } from 'node:crypto'
import type { Cluster, JobHandle, JobOutcome, JobProgress, JobSpec, JobWatcher } from '../port.ts'

/** One place where jobs run, empty at first, as seen by several programs. The engine's grace time should be short. */
export type ClusterHarness = {
  /** The engine as a program sees it that has just started. */
  open(): Cluster
  /** Launches in a program of its own, which is killed (SIGKILL) once the job has started. */
  launchAndDie(spec: JobSpec): Promise<void>
  /** Ends all that runs of the attempt behind the engine's back, as a machine does that goes down. */
  lose(handle: JobHandle): Promise<void>
  /** How many processes of the attempt run. */
  processes(handle: JobHandle): Promise<number>
  close(): Promise<void>
}

/** A job that ends well at once, but for what is given. */
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

/** A job that is a script for the shell. */
export const shellJob = (script: string, spec: Partial<JobSpec> = {}): JobSpec =>
  jobSpec({ command: ['sh', '-c', script], ...spec })

export type Recorder = JobWatcher & {
  readonly heard: (string | JobProgress | JobOutcome)[]
  readonly percents: () => number[]
  readonly end: Promise<JobOutcome>
}

/** Writes down all that a watcher hears, in order. */
export const recorder = (): Recorder => {
  const { promise: end, resolve } = Promise.withResolvers<JobOutcome>()
  const heard: Recorder['heard'] = []
  return {
    heard,
    percents: () => heard.flatMap((fact) => (typeof fact === 'object' && 'percent' in fact ? [fact.percent] : [])),
    end,
    started: () => heard.push('started'),
    progressed: (progress) => heard.push(progress),
    ended: (outcome) => {
      heard.push(outcome)
      resolve(outcome)
    },
  }
}

/** What the cases of a contract share: the cluster of this case, and short ways to use it. */
export type ContractWorld = {
  readonly harness: () => ClusterHarness
  readonly cluster: () => Cluster
  /** Closes the cluster and opens another, as a program does that starts again. */
  readonly reopen: (options: { readonly stopJobs: boolean }) => Promise<void>
  /** A case of the contract. */
  readonly it: (name: string, body: () => Promise<void>) => void
  readonly logOf: (handle: JobHandle) => Promise<string>
  /** Launches, and waits until the job says `ready` in its log. */
  readonly launchUntilReady: (spec: JobSpec) => Promise<Recorder>
}
