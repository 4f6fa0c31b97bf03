import type { ErrorCode } from '../../domain/errors.ts'

/** A program to run. `command` is program and arguments; `files` are written into the job's own folder first. */
export type JobSpec = {
  readonly jobId: string
  /** Counts from 1. A new attempt never shares a folder or a process with an older one. */
  readonly attempt: number
  readonly command: readonly string[]
  readonly files: readonly { readonly path: string; readonly content: string }[]
  readonly environment: Readonly<Record<string, string>>
  readonly timeoutSeconds: number
  readonly cpuCores: number
  readonly memoryMib: number
  /** How long the job may take to end after SIGTERM, 0 to 300. Undefined: 30. */
  readonly graceSeconds?: number | undefined
  /** How many seconds of the rented time are left at the launch: then the attempt is ended, whether a program watches
   *  it or not. Undefined: no such end. */
  readonly leaseSeconds?: number | undefined
}

export type JobHandle = { readonly jobId: string; readonly attempt: number }

export type JobOutcome =
  | { readonly ended: 'exited'; readonly exitCode: number }
  | { readonly ended: 'stopped' }
  /** Ended because its `leaseSeconds` are over. */
  | { readonly ended: 'expired' }
  /** Failed by the cluster: JOB_COMMAND_NOT_FOUND, JOB_TIMED_OUT, JOB_MEMORY_EXCEEDED, JOB_OUTPUT_EXCEEDED,
   *  JOB_DISK_EXCEEDED, JOB_PORT_TAKEN. */
  | { readonly ended: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** The process is gone, and how it ended is unknown. */
  | { readonly ended: 'lost' }

/** `percent` is 0 to 100. `message` is text that the job printed, for instance "loss 0.123". */
export type JobProgress = { readonly percent: number; readonly message: string }

export type JobWatcher = {
  readonly started: () => void
  readonly progressed: (progress: JobProgress) => void
  readonly ended: (outcome: JobOutcome) => void
}

export type LaunchOutcome = 'launched' | 'adopted'

export type Cluster = {
  readonly name: string
  /** Starts the attempt, or adopts it when it was started before, also by a program that was killed: the same attempt
   *  never runs twice. Calls the watcher from then on; `ended` exactly once. An attempt that ended while no program
   *  watched it is adopted too, and its end reported. Idempotent. Throws JOB_INVALID for a job that no cluster can run
   *  (a file outside the job's folder), JOB_ISOLATION_MISSING where this machine cannot isolate it; nothing was started
   *  then. Throws CLUSTER_UNAVAILABLE where the cluster itself cannot start any job, as on a full disk: the same attempt may
   *  be launched later. */
  launch(spec: JobSpec, watcher: JobWatcher): Promise<LaunchOutcome>
  /** Ends the attempt: one SIGTERM to all its processes, and SIGKILL after the grace that its spec sets. Its watchers get `stopped`. It is no error when nothing
   *  runs. */
  stop(handle: JobHandle): Promise<void>
  /** Resolves to the attempts that have a folder or a process on this cluster, running or not. */
  list(): Promise<readonly (JobHandle & { readonly running: boolean })[]>
  /** Resolves to a part of the log (standard output and error together, oldest first) from the byte `offset` on: about
   *  `bytesMax` bytes at most, in whole characters. The text is empty when there is nothing (yet); `nextOffset` is
   *  `offset` then. */
  readLog(
    handle: JobHandle,
    offset: number,
    bytesMax: number,
  ): Promise<{ readonly text: string; readonly nextOffset: number }>
  /** Calls no watcher any more. With `stopJobs`, ends all running jobs and resolves when no process is left. Their
   *  outcome is `lost` and not `stopped`, because no caller has stopped any one of them. */
  close(options: { readonly stopJobs: boolean }): Promise<void>
}
