import type { Command, Event, State } from './job.ts'
import type { Lifecycle, LifecycleRow } from './lifecycle.ts'

const finished: LifecycleRow<Command, Event, State> = {
  SubmitJob: [{ refused: 'JOB_ALREADY_SUBMITTED' }],
  StartJob: [{ refused: 'JOB_FINISHED' }],
  ReportProgress: [{ refused: 'JOB_FINISHED' }],
  CompleteJob: [{ refused: 'JOB_FINISHED' }],
  FailJob: [{ refused: 'JOB_FINISHED' }],
  InterruptJob: [{ refused: 'JOB_FINISHED' }],
  RequestStop: [{ refused: 'JOB_FINISHED' }],
  ConfirmStop: [{ refused: 'JOB_FINISHED' }],
  DeclareJobLost: [{ refused: 'JOB_FINISHED' }],
}

/** What each command leads to in each status of a job. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    SubmitJob: [{ events: ['JobSubmitted'], next: 'queued' }, { refused: 'JOB_INVALID' }],
    StartJob: [{ refused: 'JOB_UNKNOWN' }],
    ReportProgress: [{ refused: 'JOB_UNKNOWN' }],
    CompleteJob: [{ refused: 'JOB_UNKNOWN' }],
    FailJob: [{ refused: 'JOB_UNKNOWN' }],
    InterruptJob: [{ refused: 'JOB_UNKNOWN' }],
    RequestStop: [{ refused: 'JOB_UNKNOWN' }],
    ConfirmStop: [{ refused: 'JOB_UNKNOWN' }],
    DeclareJobLost: [{ refused: 'JOB_UNKNOWN' }],
  },
  queued: {
    SubmitJob: [{ refused: 'JOB_ALREADY_SUBMITTED' }],
    StartJob: [
      { events: ['JobStarted'], next: 'running' },
      { refused: 'JOB_NOT_QUEUED' },
      { refused: 'JOB_ATTEMPT_STALE' },
    ],
    ReportProgress: [{ refused: 'JOB_NOT_RUNNING' }],
    CompleteJob: [{ refused: 'JOB_NOT_RUNNING' }],
    FailJob: [{ events: ['JobFailed'], next: 'failed' }, { refused: 'JOB_NOT_RUNNING' }],
    InterruptJob: [{ refused: 'JOB_NOT_RUNNING' }],
    RequestStop: [{ events: ['JobStopRequested', 'JobStopped'], next: 'stopped' }, 'nothing new'],
    ConfirmStop: [{ refused: 'JOB_NOT_RUNNING' }],
    DeclareJobLost: [{ refused: 'JOB_NOT_RUNNING' }],
  },
  running: {
    SubmitJob: [{ refused: 'JOB_ALREADY_SUBMITTED' }],
    StartJob: [{ refused: 'JOB_NOT_QUEUED' }],
    ReportProgress: [{ events: ['JobProgressed'], next: 'running' }, 'nothing new', { refused: 'JOB_ATTEMPT_STALE' }],
    CompleteJob: [{ events: ['JobSucceeded'], next: 'succeeded' }, { refused: 'JOB_ATTEMPT_STALE' }],
    FailJob: [{ events: ['JobFailed'], next: 'failed' }, { refused: 'JOB_ATTEMPT_STALE' }],
    InterruptJob: [
      { events: ['JobInterrupted'], next: 'queued' },
      { events: ['JobInterrupted', 'JobStopped'], next: 'stopped' },
      { events: ['JobInterrupted', 'JobFailed'], next: 'failed' },
      { refused: 'JOB_ATTEMPT_STALE' },
    ],
    RequestStop: [{ events: ['JobStopRequested'], next: 'running' }, 'nothing new'],
    ConfirmStop: [
      { events: ['JobStopped'], next: 'stopped' },
      { events: ['JobStopRequested', 'JobStopped'], next: 'stopped' },
      { refused: 'JOB_ATTEMPT_STALE' },
    ],
    DeclareJobLost: [
      { events: ['JobFailed'], next: 'failed' },
      { refused: 'JOB_STOP_NOT_REQUESTED' },
      { refused: 'JOB_ATTEMPT_STALE' },
    ],
  },
  succeeded: finished,
  failed: finished,
  stopped: finished,
}
