import type { Commands } from '../commands/execute.ts'
import type { CommandOf, EventOf, StateOf } from '../domain/aggregates.ts'
import { isFailure, isRefusal } from '../domain/errors.ts'
import { createKeyedRunner } from '../infra/async/keyed-queue.ts'
import type { Cluster, JobSpec } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { createPending } from './pending.ts'
import { createReports } from './reports.ts'

type Dependencies = {
  readonly commands: Commands
  readonly cluster: Cluster
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
}

/** How long another cluster may take to stop a job before the job counts as gone. */
const foreignStopMsMax = 60_000

export type JobRunner = {
  /** Compares what the log has of a job with what the cluster runs, and brings the cluster to the state of the log:
   *  starts the job, adopts it, stops it, or leaves it. Safe to call at any time, any number of times. */
  reconcile(job: string): Promise<void>
  /** Stops the jobs of this cluster. Resolves when their ends are recorded; the next platform starts them anew. */
  close(): Promise<void>
}

/** Creates the runner that runs the jobs of the log on one cluster. */
export const createJobRunner = ({ commands, cluster, now, log }: Dependencies): JobRunner => {
  const reports = createReports({ commands, now, log })
  /** By job, the attempt that this runner watches on its cluster. */
  const watchedAttempts = new Map<string, number>()
  const inOrder = createKeyedRunner()
  const reconciliations = createPending()
  let closing = false

  const launch = async (spec: JobSpec): Promise<void> => {
    const { jobId: job, attempt } = spec
    watchedAttempts.set(job, attempt)
    const onEndRecorded = () => {
      watchedAttempts.delete(job)
      return reconcile(job)
    }
    try {
      const outcome = await cluster.launch(spec, reports.createWatcher(job, attempt, onEndRecorded))
      log.info({ job, attempt, cluster: cluster.name }, `job ${outcome}`)
    } catch (error) {
      watchedAttempts.delete(job)
      log.error({ job, attempt, err: error }, 'the cluster could not start a job')
      await reports.sendWithRetry(job, async () => failedStartCommandOf(attempt, error, now()), String(attempt))
    }
  }

  const reconcileNow = async (job: string): Promise<void> => {
    const { state, first } = await commands.current('job', job)
    const submitted = first?.event
    if (closing || submitted?.type !== 'JobSubmitted') return
    if (state.status !== 'queued' && state.status !== 'running') return
    const { state: rental } = await commands.current('rental', state.rental)
    if (rental.status !== 'active' && !state.stopRequested) {
      await reports.send(job, { type: 'RequestStop', reason: 'the rental has ended', requestedAt: now() })
      return reconcileNow(job)
    }
    if (state.status === 'queued') {
      // The cluster would end it at once; the end of the rental, which is near, stops it.
      if (rental.status === 'active' && rental.endsAt <= now()) return
      // The intent is recorded first: only one of several schedulers can start this attempt, and after a crash the
      // attempt is found as running below.
      const attempt = state.attempt + 1
      const start = { type: 'StartJob', attempt, cluster: cluster.name, startedAt: now() } as const
      const answer = await reports.send(job, start, cluster.name, String(attempt))
      if (!isRefusal(answer)) await launch(specOf(job, attempt, submitted, rental, now()))
      return
    }
    if (watchedAttempts.has(job)) {
      if (state.stopRequested) await cluster.stop({ jobId: job, attempt: state.attempt })
      return
    }
    const { history } = await commands.load('job', job)
    const started = history.findLast(({ event }) => event.type === 'JobStarted')?.event
    if (started?.type !== 'JobStarted') return
    if (started.cluster !== cluster.name) {
      const stop = history.findLast(({ event }) => event.type === 'JobStopRequested')?.event
      if (stop?.type === 'JobStopRequested' && Date.parse(now()) - Date.parse(stop.requestedAt) > foreignStopMsMax)
        await reports.send(job, {
          type: 'InterruptJob',
          attempt: state.attempt,
          reason: 'its cluster does not answer',
          interruptedAt: now(),
        })
      return
    }
    await launch(specOf(job, state.attempt, submitted, rental, now()))
    if (state.stopRequested) await cluster.stop({ jobId: job, attempt: state.attempt })
  }

  const reconcile = (job: string): Promise<void> => reconciliations.track(inOrder(job, () => reconcileNow(job)))

  return {
    reconcile,
    close: async () => {
      closing = true
      await reconciliations.idle()
      // A cluster that closes drops its watchers, so the jobs are stopped first: the watchers then report their ends.
      const stops = [...watchedAttempts].map(([jobId, attempt]) => cluster.stop({ jobId, attempt }))
      for (const stop of await Promise.allSettled(stops))
        if (stop.status === 'rejected') log.warn({ err: stop.reason }, 'a job could not be stopped')
      await reports.idle()
      await cluster.close({ stopJobs: true })
    },
  }
}

const specOf = (
  jobId: string,
  attempt: number,
  submitted: Extract<EventOf<'job'>, { type: 'JobSubmitted' }>,
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
  const message = error instanceof Error ? error.message : String(error)
  return isFailure(error, 'JOB_INVALID') || isFailure(error, 'JOB_ISOLATION_MISSING')
    ? { type: 'FailJob', attempt, code: error.code, message, endedAt: at }
    : { type: 'InterruptJob', attempt, reason: message, interruptedAt: at }
}
