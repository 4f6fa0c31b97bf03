// A program that a renter runs on the GPUs of an active rental. Stream `job-<id>`. queued → running → succeeded, failed
// or stopped. After a lost attempt the job is queued again while attempts are left.
import { type ErrorCode, mustBe, type Refusal, refuse } from './errors.ts'
import { shortened } from './limits.ts'

export type JobFile = { readonly path: string; readonly content: string }

/** `command` is the program and its arguments; no shell interprets them. `graceSeconds` is how long the program has to
 *  end after SIGTERM, `graceSecondsDefault` when left out. */
export type Program = {
  readonly command: readonly string[]
  readonly files: readonly JobFile[]
  readonly environment: Readonly<Record<string, string>>
  readonly timeoutSeconds: number
  readonly cpuCores: number
  readonly memoryMib: number
  readonly graceSeconds?: number | undefined
}

/** `attempt` is a fencing token: a report of an attempt that is over is refused. */
export type Command =
  | ({
      readonly type: 'SubmitJob'
      readonly rental: string
      readonly renter: string
      readonly submittedAt: string
    } & Program)
  | { readonly type: 'StartJob'; readonly attempt: number; readonly cluster: string; readonly startedAt: string }
  | {
      readonly type: 'ReportProgress'
      readonly attempt: number
      readonly percent: number
      readonly message: string
      readonly reportedAt: string
    }
  | { readonly type: 'CompleteJob'; readonly attempt: number; readonly endedAt: string }
  | {
      readonly type: 'FailJob'
      readonly attempt: number
      readonly code: ErrorCode
      readonly message: string
      readonly endedAt: string
    }
  | { readonly type: 'InterruptJob'; readonly attempt: number; readonly reason: string; readonly interruptedAt: string }
  | { readonly type: 'RequestStop'; readonly reason: string; readonly requestedAt: string }
  /** `reason` is why the attempt was stopped though no one had requested it. */
  | {
      readonly type: 'ConfirmStop'
      readonly attempt: number
      readonly reason?: string | undefined
      readonly endedAt: string
    }

  /** A job declared lost: an operator knows that the cluster of the attempt will never report its end. */
  | {
      readonly type: 'DeclareJobLost'
      readonly operator: string
      readonly attempt: number
      readonly reason: string
      readonly declaredAt: string
    }

export type Event =
  | ({
      readonly type: 'JobSubmitted'
      readonly rental: string
      readonly renter: string
      readonly submittedAt: string
    } & Program)
  | { readonly type: 'JobStarted'; readonly attempt: number; readonly cluster: string; readonly startedAt: string }
  | {
      readonly type: 'JobProgressed'
      readonly attempt: number
      readonly percent: number
      readonly message: string
      readonly reportedAt: string
    }
  | { readonly type: 'JobSucceeded'; readonly attempt: number; readonly endedAt: string }
  | {
      readonly type: 'JobFailed'
      readonly attempt: number
      readonly code: ErrorCode
      readonly message: string
      readonly endedAt: string
    }
  | {
      readonly type: 'JobInterrupted'
      readonly attempt: number
      readonly reason: string
      readonly interruptedAt: string
    }
  | { readonly type: 'JobStopRequested'; readonly reason: string; readonly requestedAt: string }
  | { readonly type: 'JobStopped'; readonly attempt: number; readonly endedAt: string }

type Submitted = {
  readonly rental: string
  readonly renter: string
  readonly attempt: number
  readonly stopRequested: boolean
}

/** `attempt` is the running attempt, or else the last one; 0 before the first. */
export type State =
  | { readonly status: 'none' }
  | ({ readonly status: 'queued' } & Submitted)
  | ({ readonly status: 'running'; readonly percent: number } & Submitted)
  | ({ readonly status: 'succeeded' | 'failed' | 'stopped' } & Submitted)

export const initial: State = { status: 'none' }

export const attemptsMax = 3
export const graceSecondsDefault = 30
export const graceSecondsMax = 300
const filesBytesMax = 65_536
export const argumentsMax = 100
/** What a program or a cluster reports about an attempt. */
export const messageCharactersMax = 1_000
/** The longest name of a file or folder on Linux. */
const fileNameBytesMax = 255
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Returns the events that follow from a command, or a refusal. Pure. */
export function decide(command: Command, state: State): Event[] | Refusal {
  if (command.type === 'SubmitJob') {
    if (state.status !== 'none') return refuse('JOB_ALREADY_SUBMITTED')
    return invalidProgram(command) ?? [{ ...command, type: 'JobSubmitted' }]
  }
  if (state.status === 'none') return refuse('JOB_UNKNOWN')
  if (state.status !== 'queued' && state.status !== 'running') return refuse('JOB_FINISHED', { status: state.status })
  switch (command.type) {
    case 'StartJob': {
      if (state.status !== 'queued' || state.stopRequested) return refuse('JOB_NOT_QUEUED')
      if (command.attempt !== state.attempt + 1)
        return refuse('JOB_ATTEMPT_STALE', { attempt: String(command.attempt) })
      return [{ ...command, type: 'JobStarted' }]
    }
    case 'RequestStop': {
      if (state.stopRequested) return []
      const { reason, requestedAt } = command
      const requested: Event = { type: 'JobStopRequested', reason, requestedAt }
      // No attempt is running, so there is no one to confirm the stop.
      if (state.status === 'queued')
        return [requested, { type: 'JobStopped', attempt: state.attempt, endedAt: requestedAt }]
      return [requested]
    }
    case 'FailJob':
      // A job that could not even start fails under the number of the next attempt.
      if (state.status === 'queued' && command.attempt === state.attempt + 1) return [{ ...command, type: 'JobFailed' }]
  }
  if (state.status !== 'running') return refuse('JOB_NOT_RUNNING')
  if (command.attempt !== state.attempt)
    return refuse('JOB_ATTEMPT_STALE', { attempt: String(command.attempt), current: String(state.attempt) })
  switch (command.type) {
    case 'ReportProgress': {
      const percent = Math.min(100, Math.max(0, command.percent))
      // Also false for NaN.
      return percent >= state.percent ? [{ ...command, type: 'JobProgressed', percent }] : []
    }
    case 'CompleteJob':
      return [{ ...command, type: 'JobSucceeded' }]
    case 'FailJob':
      return [{ ...command, type: 'JobFailed' }]
    case 'ConfirmStop': {
      const { attempt, reason, endedAt } = command
      const stopped: Event = { type: 'JobStopped', attempt, endedAt }
      if (state.stopRequested || reason === undefined) return [stopped]
      return [{ type: 'JobStopRequested', reason, requestedAt: endedAt }, stopped]
    }
    case 'DeclareJobLost': {
      // A cluster that was not asked to stop the job has not failed to answer.
      if (!state.stopRequested) return refuse('JOB_STOP_NOT_REQUESTED')
      const { attempt, reason, declaredAt } = command
      return [{ type: 'JobFailed', attempt, code: 'JOB_LOST', message: reason, endedAt: declaredAt }]
    }
    case 'InterruptJob': {
      const { attempt, reason, interruptedAt } = command
      const interrupted: Event = { type: 'JobInterrupted', attempt, reason, interruptedAt }
      if (state.stopRequested) return [interrupted, { type: 'JobStopped', attempt, endedAt: interruptedAt }]
      if (attempt < attemptsMax) return [interrupted]
      return [
        interrupted,
        { type: 'JobFailed', attempt, code: 'JOB_INTERRUPTED', message: reason, endedAt: interruptedAt },
      ]
    }
  }
}

const invalidProgram = ({
  command,
  files,
  environment,
  timeoutSeconds,
  cpuCores,
  memoryMib,
  graceSeconds,
}: Program): Refusal | undefined => {
  if (!command[0]?.trim() || command.length > argumentsMax)
    return refuse('JOB_INVALID', { command: `a program and up to ${argumentsMax - 1} arguments` })
  const bytes = files.reduce((sum, file) => sum + new TextEncoder().encode(file.content).length, 0)
  if (bytes > filesBytesMax) return refuse('JOB_INVALID', { files: `at most ${filesBytesMax} bytes together` })
  const strayed = files.find(({ path }) => !isBelowFolder(path))
  if (strayed) return refuse('JOB_INVALID', { file: strayed.path, takes: 'a path below the working folder' })
  const doubled = pathsTwice(files.map(({ path }) => partsOf(path).join('/')))
  if (doubled !== undefined) return refuse('JOB_INVALID', { file: doubled, takes: 'one file, and no folder, per path' })
  // A field of that name would become the prototype of the stored object, and be lost.
  const misnamed = Object.keys(environment).find((name) => !variableName.test(name) || name === '__proto__')
  if (misnamed !== undefined)
    return refuse('JOB_INVALID', { environment: shortened(misnamed), takes: 'names of letters, digits and _' })
  if (timeoutSeconds < 1) return refuse('JOB_INVALID', { timeoutSeconds: String(timeoutSeconds) })
  if (cpuCores < 1) return refuse('JOB_INVALID', { cpuCores: String(cpuCores) })
  if (memoryMib < 1) return refuse('JOB_INVALID', { memoryMib: String(memoryMib) })
  if (graceSeconds !== undefined && !(graceSeconds >= 0 && graceSeconds <= graceSecondsMax))
    return refuse('JOB_INVALID', { graceSeconds: String(graceSeconds), takes: `0 to ${graceSecondsMax}` })
  return undefined
}

const partsOf = (path: string): readonly string[] => path.split('/').filter((part) => part !== '' && part !== '.')

/** Returns whether a file can have this path below a folder of Linux. */
const isBelowFolder = (path: string): boolean => {
  const parts = partsOf(path)
  const isFile = parts.length > 0 && !path.startsWith('/') && !path.endsWith('/') && !path.endsWith('/.')
  return isFile && parts.every((part) => part !== '..' && new TextEncoder().encode(part).length <= fileNameBytesMax)
}

/** Returns a path that is there twice, or that is also the folder of another one. */
const pathsTwice = (paths: readonly string[]): string | undefined => {
  const sorted = paths.map((path) => `${path}/`).toSorted()
  return sorted.find((path, index) => sorted[index + 1]?.startsWith(path))?.slice(0, -1)
}

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  switch (event.type) {
    case 'JobSubmitted':
      mustBe(state, 'none')
      return { status: 'queued', rental: event.rental, renter: event.renter, attempt: 0, stopRequested: false }
    case 'JobStarted':
      return { ...mustBe(state, 'queued'), status: 'running', attempt: event.attempt, percent: 0 }
    case 'JobProgressed':
      return { ...mustBe(state, 'running'), percent: event.percent }
    case 'JobStopRequested':
      return { ...mustBe(state, 'queued', 'running'), stopRequested: true }
    case 'JobInterrupted': {
      const { percent, ...job } = mustBe(state, 'running')
      return { ...job, status: 'queued' }
    }
    case 'JobSucceeded':
      return { ...finished(state, event.attempt), status: 'succeeded' }
    case 'JobFailed':
      return { ...finished(state, event.attempt), status: 'failed' }
    case 'JobStopped':
      return { ...finished(state, event.attempt), status: 'stopped' }
  }
}

const finished = (state: State, attempt: number): Submitted => {
  const { rental, renter, stopRequested } = mustBe(state, 'queued', 'running')
  return { rental, renter, stopRequested, attempt }
}
