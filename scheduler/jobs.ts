import type { Commands } from '../commands/execute.ts'
import type { CommandOf, EventOf } from '../domain/aggregates.ts'
import { Failure, isRefusal } from '../domain/errors.ts'
import type { Cluster, JobSpec } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { createReports } from './reports.ts'

type Dependencies = {
  readonly commands: Commands
  readonly cluster: Cluster
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
}

/** How long another cluster may take to stop a job before it counts as gone. */
const foreignStopMsMax = 60_000

export type JobRunner = {
  /** Looks at what the log says of the job and at what the cluster does, and brings the second to the first: starts it,
   *  adopts it, stops it, or leaves it. Safe to call at any time, any number of times. */
  reconcile(job: string): Promise<void>
  /** Stops the jobs of this cluster and resolves when their ends are recorded: they start anew with the next platform. */
  close(): Promise<void>
}

/** Runs the jobs that the log knows on one cluster. */
export const createJobRunner = ({ commands, cluster, now, log }: Dependencies): JobRunner => {
  const { send, report, watcherOf, idle } = createReports({ commands, now, log })
  const watched = new Map<string, number>()
  const turns = new Map<string, Promise<void>>()
  let closing = false

  const launch = async (spec: JobSpec): Promise<void> => {
    const { jobId: job, attempt } = spec
    watched.set(job, attempt)
    const ended = () => {
      watched.delete(job)
      return reconcile(job)
    }
    try {
      const outcome = await cluster.launch(spec, watcherOf(job, attempt, ended))
      log.info({ job, attempt, cluster: cluster.name }, `job ${outcome}`)
    } catch (error) {
      watched.delete(job)
      log.error({ job, attempt, err: error }, 'the cluster could not start a job')
      await report(job, async () => failedToStart(attempt, error, now()), String(attempt))
    }
  }

  const bringTogether = async (job: string): Promise<void> => {
    const { state, first } = await commands.current('job', job)
    const submitted = first?.event
    if (closing || submitted?.type !== 'JobSubmitted') return
    if (state.status !== 'queued' && state.status !== 'running') return
    const { state: rental } = await commands.current('rental', state.rental)
    if (rental.status !== 'active' && !state.stopRequested) {
      await send(job, { type: 'RequestStop', reason: 'the rental has ended', requestedAt: now() })
      return bringTogether(job)
    }
    if (state.status === 'queued') {
      // The intent comes first: of several schedulers only one may start this attempt, and a crash after it is found below.
      const attempt = state.attempt + 1
      const start = { type: 'StartJob', attempt, cluster: cluster.name, startedAt: now() } as const
      const answer = await send(job, start, cluster.name, String(attempt))
      if (!isRefusal(answer)) await launch(specOf(job, attempt, submitted))
      return
    }
    if (watched.has(job)) {
      if (state.stopRequested) await cluster.stop({ jobId: job, attempt: state.attempt })
      return
    }
    const { history } = await commands.load('job', job)
    const started = history.findLast(({ event }) => event.type === 'JobStarted')?.event
    if (started?.type !== 'JobStarted') return
    if (started.cluster !== cluster.name) {
      const stop = history.findLast(({ event }) => event.type === 'JobStopRequested')?.event
      if (stop?.type === 'JobStopRequested' && Date.parse(now()) - Date.parse(stop.requestedAt) > foreignStopMsMax)
        await send(job, {
          type: 'InterruptJob',
          attempt: state.attempt,
          reason: 'its cluster does not answer',
          interruptedAt: now(),
        })
      return
    }
    await launch(specOf(job, state.attempt, submitted))
    if (state.stopRequested) await cluster.stop({ jobId: job, attempt: state.attempt })
  }

  /** One look at a time per job. */
  const reconcile = (job: string): Promise<void> => {
    const turn = (turns.get(job) ?? Promise.resolve()).then(() => bringTogether(job))
    const over = turn
      .catch(() => undefined)
      .then(() => {
        if (turns.get(job) === over) turns.delete(job)
      })
    turns.set(job, over)
    return turn
  }

  return {
    reconcile,
    close: async () => {
      closing = true
      await Promise.all(turns.values())
      // A cluster that closes forgets its watchers: they must hear the end before.
      const stops = [...watched].map(([jobId, attempt]) => cluster.stop({ jobId, attempt }))
      for (const stop of await Promise.allSettled(stops))
        if (stop.status === 'rejected') log.warn({ err: stop.reason }, 'a job could not be stopped')
      await idle()
      await cluster.close({ stopJobs: true })
    },
  }
}

const specOf = (
  jobId: string,
  attempt: number,
  submitted: Extract<EventOf<'job'>, { type: 'JobSubmitted' }>,
): JobSpec => {
  const { command, files, environment, timeoutSeconds, cpuCores, memoryMib } = submitted
  return { jobId, attempt, command, files, environment, timeoutSeconds, cpuCores, memoryMib }
}

/** What cannot be run here cannot be run at the next attempt either; anything else may be better then. */
const failedToStart = (attempt: number, error: unknown, at: string): CommandOf<'job'> => {
  const message = error instanceof Error ? error.message : String(error)
  return error instanceof Failure && error.code === 'JOB_INVALID'
    ? { type: 'FailJob', attempt, code: 'JOB_INVALID', message, endedAt: at }
    : { type: 'InterruptJob', attempt, reason: message, interruptedAt: at }
}
