import type { ErrorCode } from '../../domain/errors.ts'

/** What to run. `command` is program and arguments; `files` are written into the job's own folder first. */
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
}

export type JobHandle = { readonly jobId: string; readonly attempt: number }

export type JobOutcome =
  | { readonly ended: 'exited'; readonly exitCode: number }
  | { readonly ended: 'stopped' }
  /** Failed by the cluster: JOB_COMMAND_NOT_FOUND, JOB_TIMED_OUT, JOB_MEMORY_EXCEEDED, JOB_OUTPUT_EXCEEDED. */
  | { readonly ended: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** The process is gone and nobody knows how it ended. */
  | { readonly ended: 'lost' }

/** `percent` is 0 to 100. `message` is the job's own words, for instance "loss 0.123". */
export type JobProgress = { readonly percent: number; readonly message: string }

export type JobWatcher = {
  readonly started: () => void
  readonly progressed: (progress: JobProgress) => void
  readonly ended: (outcome: JobOutcome) => void
}

export type LaunchOutcome = 'launched' | 'adopted'

export type Cluster = {
  readonly name: string
  /** Starts the attempt, or adopts it when it is there already (also after this program was killed): the same attempt never
   *  runs twice. Calls the watcher from then on; `ended` exactly once. An attempt that ended while nobody looked is
   *  adopted too, and its end reported. Throws JOB_INVALID for what no cluster could run (a file outside the job's folder),
   *  and then nothing was started; after any other error the same call again does no harm. */
  launch(spec: JobSpec, watcher: JobWatcher): Promise<LaunchOutcome>
  /** Asks it to end (SIGTERM), then makes it (SIGKILL) after a grace time. The watcher hears `stopped`. Nothing to stop is no error. */
  stop(handle: JobHandle): Promise<void>
  /** The attempts that have a folder or a process here, running or not. */
  list(): Promise<readonly (JobHandle & { readonly running: boolean })[]>
  /** A part of the log, standard output and error together, oldest first, in bytes from `offset`, about `bytesMax` at most
   *  and in whole characters. Empty when there is nothing (yet): `nextOffset` is then `offset`. */
  readLog(
    handle: JobHandle,
    offset: number,
    bytesMax: number,
  ): Promise<{ readonly text: string; readonly nextOffset: number }>
  /** Forgets the watchers. With `stopJobs`, ends all running jobs and waits until no process is left; as nobody asked for the
   *  end of any one of them, whoever launches them again hears `lost`. */
  close(options: { readonly stopJobs: boolean }): Promise<void>
}
