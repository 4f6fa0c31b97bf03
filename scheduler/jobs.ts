import { setTimeout as sleep } from 'node:timers/promises'
import { systemActor } from '../commands/actor.ts'
import type { Commands } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { Failure, isRefusal } from '../domain/errors.ts'
import type { Cluster, JobOutcome, JobProgress, JobSpec } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'

type Dependencies = {
  readonly commands: Commands
  readonly cluster: Cluster
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
}

/** Progress is a fact worth keeping about once a second; the end is always told. */
const progressEveryMs = 1_000
const retryPauseMs = 500

export type JobRunner = {
  /** Looks at what the log says of the job and at what the cluster does, and brings the second to the first: starts it,
   *  adopts it, stops it, or leaves it. Safe to call at any time, any number of times. */
  reconcile(job: string): Promise<void>
  /** Stops the jobs of this cluster and resolves when their ends are recorded: they start anew with the next platform. */
  close(): Promise<void>
}

export const createJobRunner = ({ commands, cluster, now, log }: Dependencies): JobRunner => {
  const watched = new Map<string, number>()
  const reports = new Set<Promise<void>>()
  const turns = new Map<string, Promise<void>>()
  let closing = false

  /** The command id is made of what is reported, so that a report given twice is stored once. */
  const tell = async (job: string, command: CommandOf<'job'>, ...identity: string[]) => {
    const { history } = await commands.load('job', job)
    const commandId = derivedId('scheduler', job, command.type, ...identity)
    const correlationId = history[0]?.correlationId ?? commandId
    const causationId = history.at(-1)?.eventId ?? commandId
    return commands.execute('job', job, command, {
      commandId,
      correlationId,
      causationId,
      actor: systemActor('scheduler'),
      time: now(),
    })
  }

  /** A report must not be lost because the database is away for a moment. */
  const report = (job: string, say: () => Promise<CommandOf<'job'>>, ...identity: string[]): Promise<void> => {
    const work = async () => {
      for (;;) {
        try {
          const command = await say()
          const answer = await tell(job, command, ...identity)
          if (isRefusal(answer))
            log.info({ job, command: command.type, code: answer.refused }, 'a report came too late')
          return
        } catch (error) {
          if (!(error instanceof Failure) || error.code !== 'DATABASE_UNAVAILABLE') {
            log.error({ job, err: error }, 'a report could not be recorded')
            return
          }
          await sleep(retryPauseMs)
        }
      }
    }
    const done = work().finally(() => reports.delete(done))
    reports.add(done)
    return done
  }

  const ending = async (job: string, attempt: number, outcome: JobOutcome): Promise<CommandOf<'job'>> => {
    const endedAt = now()
    if (outcome.ended === 'failed')
      return { type: 'FailJob', attempt, code: outcome.code, message: outcome.message, endedAt }
    if (outcome.ended === 'lost')
      return { type: 'InterruptJob', attempt, reason: 'its process vanished', interruptedAt: endedAt }
    if (outcome.ended === 'exited' && outcome.exitCode === 0) return { type: 'CompleteJob', attempt, endedAt }
    if (outcome.ended === 'exited')
      return { type: 'FailJob', attempt, code: 'JOB_EXIT_NONZERO', message: `exit code ${outcome.exitCode}`, endedAt }
    const { state } = await commands.load('job', job)
    if (state.status === 'running' && state.stopRequested) return { type: 'ConfirmStop', attempt, endedAt }
    return { type: 'InterruptJob', attempt, reason: 'the platform was stopped', interruptedAt: endedAt }
  }

  const launch = async (spec: JobSpec): Promise<void> => {
    const { jobId: job, attempt } = spec
    watched.set(job, attempt)
    let latest: JobProgress | undefined
    let toldAt = 0
    let telling: Promise<void> = Promise.resolve()
    const tellProgress = () => {
      if (!latest) return
      const { percent, message } = latest
      const command = { type: 'ReportProgress', attempt, percent, message, reportedAt: now() } as const
      latest = undefined
      toldAt = Date.now()
      telling = telling.then(() => report(job, async () => command, String(attempt), String(percent), message))
    }
    const outcome = await cluster.launch(spec, {
      started: () => undefined,
      progressed: (progress) => {
        latest = progress
        if (Date.now() - toldAt >= progressEveryMs) tellProgress()
      },
      ended: (how) => {
        tellProgress()
        const end = telling
          .then(() => report(job, () => ending(job, attempt, how), String(attempt)))
          .then(() => {
            watched.delete(job)
            return reconcile(job)
          })
          // Whoever looks through the open jobs comes by again.
          .catch((error) => log.warn({ job, attempt, err: error }, 'a job could not be looked at after its end'))
          .finally(() => reports.delete(end))
        reports.add(end)
        log.info({ job, attempt, ...how }, 'job ended')
      },
    })
    log.info({ job, attempt, cluster: cluster.name }, `job ${outcome}`)
  }

  const bringTogether = async (job: string): Promise<void> => {
    const { state, history } = await commands.load('job', job)
    const submitted = history[0]?.event
    if (closing || submitted?.type !== 'JobSubmitted' || (state.status !== 'queued' && state.status !== 'running'))
      return
    const { state: rental } = await commands.load('rental', state.rental)
    if (rental.status !== 'active' && !state.stopRequested) {
      await tell(job, { type: 'RequestStop', reason: 'the rental has ended', requestedAt: now() })
      return bringTogether(job)
    }
    const started = history.findLast(({ event }) => event.type === 'JobStarted')?.event
    const { command, files, environment, timeoutSeconds, cpuCores, memoryMib } = submitted
    const specOf = (attempt: number) => ({
      jobId: job,
      attempt,
      command,
      files,
      environment,
      timeoutSeconds,
      cpuCores,
      memoryMib,
    })
    if (state.status === 'queued') {
      // The intent comes first: of several schedulers only one may start this attempt, and a crash after it is found below.
      const attempt = state.attempt + 1
      const answer = await tell(
        job,
        { type: 'StartJob', attempt, cluster: cluster.name, startedAt: now() },
        cluster.name,
        String(attempt),
      )
      if (!isRefusal(answer)) await launchOrInterrupt(specOf(attempt))
      return
    }
    if (started?.type !== 'JobStarted' || started.cluster !== cluster.name) return
    if (!watched.has(job)) await launchOrInterrupt(specOf(state.attempt))
    if (state.stopRequested) await cluster.stop({ jobId: job, attempt: state.attempt })
  }

  const launchOrInterrupt = async (spec: JobSpec): Promise<void> => {
    try {
      await launch(spec)
    } catch (error) {
      watched.delete(spec.jobId)
      log.error({ job: spec.jobId, attempt: spec.attempt, err: error }, 'the cluster could not start a job')
      const { jobId, attempt } = spec
      const message = error instanceof Error ? error.message : String(error)
      // What cannot be run here cannot be run at the next attempt either.
      const command: CommandOf<'job'> =
        error instanceof Failure && error.code === 'JOB_INVALID'
          ? { type: 'FailJob', attempt, code: 'JOB_INVALID', message, endedAt: now() }
          : { type: 'InterruptJob', attempt, reason: message, interruptedAt: now() }
      await report(jobId, async () => command, String(attempt))
    }
  }

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
      while (reports.size > 0) await Promise.allSettled(reports)
      await cluster.close({ stopJobs: true })
    },
  }
}
