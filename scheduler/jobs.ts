import type { Commands } from '../commands/execute.ts'
import type { CommandOf, EventOf, StateOf } from '../domain/aggregates.ts'
import { Failure, isFailure, isRefusal } from '../domain/errors.ts'
import { createKeyedRunner } from '../infra/async/keyed-queue.ts'
import type { Cluster, JobSpec } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { createPending } from './pending.ts'
import { createReports, storable } from './reports.ts'
import type { RetryLimits } from './send-report.ts'
import { createTroubles } from './troubles.ts'

type Dependencies = {
  readonly commands: Commands
  readonly cluster: Cluster
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
  /** How long reports are tried again. */
  readonly limits?: RetryLimits
}

/** How long another cluster may take to stop a job before the job counts as gone. */
const foreignStopMsMax = 60_000
/** Pauses before a relist tries a job again that could not be reconciled. */
const pauseMsMin = 5_000
const pauseMsMax = 600_000

export type JobRunner = {
  /** Compares what the log has of a job with what the cluster runs, and brings the cluster to the state of the log:
   *  starts the job, adopts it, stops it, or leaves it. Safe to call at any time, any number of times. Never throws: a
   *  failure is logged, and a `relist` leaves the job out for a growing pause. */
  reconcile(job: string, options?: { readonly relist?: boolean }): Promise<void>
  /** Stops the jobs of this cluster. Resolves when their ends are recorded; the next platform starts them anew. */
  close(): Promise<void>
}

/** Creates the runner that runs the jobs of the log on one cluster. */
export const createJobRunner = ({ commands, cluster, now, log, limits }: Dependencies): JobRunner => {
  const reports = createReports({ commands, now, log, limits })
  /** By job, the attempt that this runner watches on its cluster. */
  const watchedAttempts = new Map<string, number>()
  const inOrder = createKeyedRunner()
  const background = createPending()
  const troubled = createTroubles({ pauseMsMin, pauseMsMax })
  const stopping = new Set<string>()
  let closing = false

  const launch = async (spec: JobSpec): Promise<void> => {
    const { jobId: job, attempt } = spec
    watchedAttempts.set(job, attempt)
    const onEnd = async (isRecorded: boolean) => {
      watchedAttempts.delete(job)
      if (isRecorded) return reconcile(job)
      // The cluster still knows the end: after a pause it is adopted, and reported again.
      troubled.failed(job)
    }
    try {
      const outcome = await cluster.launch(spec, reports.createWatcher(job, attempt, onEnd))
      log.info({ job, attempt, cluster: cluster.name }, `job ${outcome}`)
    } catch (error) {
      watchedAttempts.delete(job)
      log.error({ job, attempt, err: error }, 'the cluster could not start a job')
      const isRecorded = await reports.recordEnd(job, attempt, async () => failedStartCommandOf(attempt, error, now()))
      if (!isRecorded) troubled.failed(job)
    }
  }

  /** Stops an attempt in the background, since a job may take its whole grace time. */
  const stop = (jobId: string, attempt: number): void => {
    const key = `${jobId}/${attempt}`
    if (stopping.has(key)) return
    stopping.add(key)
    const stopped = cluster
      .stop({ jobId, attempt })
      .catch((error) => {
        troubled.failed(jobId)
        log.warn({ job: jobId, attempt, err: error }, 'a job could not be stopped, and is stopped again later')
      })
      .finally(() => stopping.delete(key))
    void background.track(stopped)
  }

  const reconcileNow = async (job: string): Promise<void> => {
    const { state, first } = await commands.current('job', job)
    const submitted = first?.event
    if (closing || submitted?.type !== 'JobSubmitted') return
    if (state.status !== 'queued' && state.status !== 'running') return
    const { state: rental } = await commands.current('rental', state.rental)
    if (rental.status !== 'active' && !state.stopRequested) {
      const asked = { type: 'RequestStop', reason: 'the rental has ended', requestedAt: now() } as const
      const answer = await reports.send(job, asked)
      if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
      if (answer.state.status === 'running') await follow(job, answer.state, submitted, rental)
      return
    }
    if (state.status === 'running') return follow(job, state, submitted, rental)
    // The cluster would end it at once; the end of the rental, which is near, stops it.
    if (rental.status === 'active' && rental.endsAt <= now()) return
    // The intent is recorded first: only one of several schedulers can start this attempt, and after a crash the
    // attempt is found as running by the next look.
    const attempt = state.attempt + 1
    const start = { type: 'StartJob', attempt, cluster: cluster.name, startedAt: now() } as const
    const answer = await reports.send(job, start, cluster.name, String(attempt))
    if (!isRefusal(answer)) await launch(specOf(job, attempt, submitted, rental, now()))
  }

  /** Watches a running attempt if it is one of this cluster, and stops it if that was requested. */
  const follow = async (
    job: string,
    { attempt, stopRequested }: Running,
    submitted: Submitted,
    rental: StateOf<'rental'>,
  ): Promise<void> => {
    if (!watchedAttempts.has(job)) {
      const { history } = await commands.load('job', job)
      const started = history.findLast(({ event }) => event.type === 'JobStarted')?.event
      if (started?.type !== 'JobStarted') return
      if (started.cluster !== cluster.name) {
        const stop = history.findLast(({ event }) => event.type === 'JobStopRequested')?.event
        if (stop?.type === 'JobStopRequested' && Date.parse(now()) - Date.parse(stop.requestedAt) > foreignStopMsMax)
          await reports.send(job, {
            type: 'InterruptJob',
            attempt,
            reason: 'its cluster does not answer',
            interruptedAt: now(),
          })
        return
      }
      await launch(specOf(job, attempt, submitted, rental, now()))
    }
    if (stopRequested) stop(job, attempt)
  }

  const reconcileOrPause = async (job: string): Promise<void> => {
    try {
      await reconcileNow(job)
    } catch (error) {
      const pauseMs = troubled.failed(job)
      log.warn({ job, err: error, pauseMs }, 'a job could not be reconciled, and is looked at again later')
    }
  }
  const reconcile: JobRunner['reconcile'] = async (job, { relist = false } = {}) => {
    if (relist && troubled.isPaused(job)) return
    await background.track(inOrder(job, () => reconcileOrPause(job)))
  }

  return {
    reconcile,
    close: async () => {
      closing = true
      await background.idle()
      // A cluster that closes drops its watchers, so the jobs are stopped first: the watchers then report their ends.
      const stops = [...watchedAttempts].map(([jobId, attempt]) => cluster.stop({ jobId, attempt }))
      for (const stop of await Promise.allSettled(stops))
        if (stop.status === 'rejected') log.warn({ err: stop.reason }, 'a job could not be stopped')
      await reports.close()
      await cluster.close({ stopJobs: true })
    },
  }
}

type Submitted = Extract<EventOf<'job'>, { type: 'JobSubmitted' }>
type Running = Extract<StateOf<'job'>, { status: 'running' }>

const specOf = (
  jobId: string,
  attempt: number,
  submitted: Submitted,
  rental: StateOf<'rental'>,
  at: string,
): JobSpec => {
  const { command, files, environment, timeoutSeconds, cpuCores, memoryMib } = submitted
  const leftMs = rental.status === 'active' ? Date.parse(rental.endsAt) - Date.parse(at) : 0
  return {
    jobId,
    attempt,
    command,
    files,
    environment,
    timeoutSeconds,
    cpuCores,
    memoryMib,
    leaseSeconds: Math.max(leftMs / 1000, 0),
  }
}

/** Returns the command for an attempt that the cluster could not start. A job that no cluster can run fails at once;
 *  after any other error the next attempt may succeed. */
const failedStartCommandOf = (attempt: number, error: unknown, at: string): CommandOf<'job'> => {
  const message = storable(error instanceof Error ? error.message : String(error))
  return isFailure(error, 'JOB_INVALID') || isFailure(error, 'JOB_ISOLATION_MISSING')
    ? { type: 'FailJob', attempt, code: error.code, message, endedAt: at }
    : { type: 'InterruptJob', attempt, reason: message, interruptedAt: at }
}
