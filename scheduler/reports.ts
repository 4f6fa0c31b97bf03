import { setTimeout as sleep } from 'node:timers/promises'
import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import type { Commands, Executed } from '../commands/execute.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal } from '../domain/errors.ts'
import type { JobOutcome, JobProgress, JobWatcher } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'

/** Progress is a fact worth keeping about once a second; the end is always told. */
const progressEveryMs = 1_000
const retryPauseMs = 500

type Dependencies = {
  readonly commands: Commands
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
}

export type Reports = {
  /** Says something of a job, once. `identity` makes the command id, so that what is said twice is stored once. */
  send(job: string, command: CommandOf<'job'>, ...identity: string[]): Promise<Executed<'job'> | Refusal>
  /** The same, again and again while the database is away: a report must not be lost. */
  report(job: string, say: () => Promise<CommandOf<'job'>>, ...identity: string[]): Promise<void>
  /** Turns what a cluster says of an attempt into reports, in order; `ended` comes when the end is recorded. */
  watcherOf(job: string, attempt: number, ended: () => Promise<void>): JobWatcher
  /** Resolves when nothing waits to be reported. */
  idle(): Promise<void>
}

/** How the scheduler tells the log what becomes of jobs. */
export const createReports = ({ commands, now, log }: Dependencies): Reports => {
  const open = new Set<Promise<void>>()
  const track = (work: Promise<void>): Promise<void> => {
    const done = work.finally(() => open.delete(done))
    open.add(done)
    return done
  }

  const send: Reports['send'] = async (job, command, ...identity) => {
    const { first, last } = await commands.current('job', job)
    const commandId = commandIds.reportJob(job, command.type, ...identity)
    const correlationId = first?.correlationId ?? commandId
    const causationId = last?.eventId ?? commandId
    const envelope = { commandId, correlationId, causationId, actor: systemActors.scheduler, time: now() }
    return commands.execute('job', job, command, envelope)
  }

  const sendUntilAnswered = async (job: string, say: () => Promise<CommandOf<'job'>>, identity: readonly string[]) => {
    for (;;) {
      try {
        const command = await say()
        const answer = await send(job, command, ...identity)
        if (isRefusal(answer)) log.info({ job, command: command.type, code: answer.refused }, 'a report came too late')
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
  const report: Reports['report'] = (job, say, ...identity) => track(sendUntilAnswered(job, say, identity))

  const ending = async (job: string, attempt: number, outcome: JobOutcome): Promise<CommandOf<'job'>> => {
    const endedAt = now()
    switch (outcome.ended) {
      case 'failed':
        return { type: 'FailJob', attempt, code: outcome.code, message: outcome.message, endedAt }
      case 'lost':
        return { type: 'InterruptJob', attempt, reason: 'its process vanished', interruptedAt: endedAt }
      case 'exited': {
        if (outcome.exitCode === 0) return { type: 'CompleteJob', attempt, endedAt }
        const message = `exit code ${outcome.exitCode}`
        return { type: 'FailJob', attempt, code: 'JOB_EXIT_NONZERO', message, endedAt }
      }
      case 'stopped': {
        const { state } = await commands.current('job', job)
        if (state.status === 'running' && state.stopRequested) return { type: 'ConfirmStop', attempt, endedAt }
        return { type: 'InterruptJob', attempt, reason: 'the platform was stopped', interruptedAt: endedAt }
      }
    }
  }

  const watcherOf: Reports['watcherOf'] = (job, attempt, ended) => {
    let latest: JobProgress | undefined
    let sentAt = 0
    let sending: Promise<void> = Promise.resolve()
    let timer: NodeJS.Timeout | undefined
    const sendLatest = () => {
      clearTimeout(timer)
      timer = undefined
      if (!latest) return
      const { percent, message } = latest
      const command = { type: 'ReportProgress', attempt, percent, message, reportedAt: now() } as const
      latest = undefined
      sentAt = Date.now()
      sending = sending.then(() => report(job, async () => command, String(attempt), String(percent), message))
    }
    return {
      started: () => undefined,
      progressed: (progress) => {
        latest = progress
        const waitMs = sentAt + progressEveryMs - Date.now()
        if (waitMs <= 0) sendLatest()
        else timer ??= setTimeout(sendLatest, waitMs)
      },
      ended: (how) => {
        sendLatest()
        log.info({ job, attempt, ...how }, 'job ended')
        const recorded = sending.then(() => report(job, () => ending(job, attempt, how), String(attempt)))
        // Whoever looks through the open jobs comes by again.
        const trouble = (error: unknown) =>
          log.warn({ job, attempt, err: error }, 'a job was not looked at after its end')
        track(recorded.then(ended).catch(trouble))
      },
    }
  }

  return {
    send,
    report,
    watcherOf,
    idle: async () => {
      while (open.size > 0) await Promise.allSettled(open)
    },
  }
}
