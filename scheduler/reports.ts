import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import type { Commands, Executed } from '../commands/execute.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal } from '../domain/errors.ts'
import { messageCharactersMax } from '../domain/job.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { JobOutcome, JobProgress, JobWatcher } from '../infra/clusters/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { createPending } from './pending.ts'

/** Progress is reported about once a second at most; the end of an attempt is always reported. */
const progressPeriodMs = 1_000
const retryPauseMs = 500

type Dependencies = {
  readonly commands: Commands
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
}

export type Reports = {
  /** Sends one command to a job. Its command id is derived from the job, the type of the command and `identity`: a
   *  report that is sent twice is stored once. */
  send(job: string, command: CommandOf<'job'>, ...identity: string[]): Promise<Executed<'job'> | Refusal>
  /** Makes and sends one command to a job, again and again while the database is unavailable, so that no report is
   *  lost. Never throws: a refusal and any other error are logged. */
  sendWithRetry(job: string, makeCommand: () => Promise<CommandOf<'job'>>, ...identity: string[]): Promise<void>
  /** Returns a watcher for one attempt. It turns what the cluster observes into reports, in order, and calls
   *  `onEndRecorded` when the end of the attempt is recorded. */
  createWatcher(job: string, attempt: number, onEndRecorded: () => Promise<void>): JobWatcher
  /** Resolves when no report is pending. */
  idle(): Promise<void>
}

/** Cuts what a cluster or a program reports to what an event takes: a report must not be lost for its length. */
const withShortTexts = (command: CommandOf<'job'>): CommandOf<'job'> => {
  const short = (text: string) => text.slice(0, messageCharactersMax).toWellFormed().replaceAll('\0', ' ')
  if ('message' in command) return { ...command, message: short(command.message) }
  return 'reason' in command ? { ...command, reason: short(command.reason) } : command
}

/** Creates the reports of the scheduler: they record in the log what happens to jobs on a cluster. */
export const createReports = ({ commands, now, log }: Dependencies): Reports => {
  const pending = createPending()

  const send: Reports['send'] = async (job, command, ...identity) => {
    const { first, last } = await commands.current('job', job)
    const commandId = commandIds.reportJob(job, command.type, ...identity)
    const correlationId = first?.correlationId ?? commandId
    const causationId = last?.eventId ?? commandId
    const envelope = { commandId, correlationId, causationId, actor: systemActors.scheduler, time: now() }
    return commands.execute('job', job, withShortTexts(command), envelope)
  }

  const sendUntilAnswered = async (
    job: string,
    makeCommand: () => Promise<CommandOf<'job'>>,
    identity: readonly string[],
  ) => {
    for (;;) {
      try {
        const command = await makeCommand()
        const answer = await send(job, command, ...identity)
        if (isRefusal(answer)) log.info({ job, command: command.type, code: answer.refused }, 'a report was refused')
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
  const sendWithRetry: Reports['sendWithRetry'] = (job, makeCommand, ...identity) =>
    pending.track(sendUntilAnswered(job, makeCommand, identity))

  const endCommandOf = async (job: string, attempt: number, outcome: JobOutcome): Promise<CommandOf<'job'>> => {
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

  const createWatcher: Reports['createWatcher'] = (job, attempt, onEndRecorded) => {
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
      sending = sending.then(() => sendWithRetry(job, async () => command, String(attempt), String(percent), message))
    }
    return {
      started: () => undefined,
      progressed: (progress) => {
        latest = progress
        const waitMs = sentAt + progressPeriodMs - Date.now()
        if (waitMs <= 0) sendLatest()
        else timer ??= setTimeout(sendLatest, waitMs)
      },
      ended: (outcome) => {
        sendLatest()
        log.info({ job, attempt, ...outcome }, 'job ended')
        const recorded = sending.then(() =>
          sendWithRetry(job, () => endCommandOf(job, attempt, outcome), String(attempt)),
        )
        // The next pass over all open jobs reconciles this one too.
        const warn = (error: unknown) =>
          log.warn({ job, attempt, err: error }, 'a job could not be reconciled after its end')
        pending.track(recorded.then(onEndRecorded).catch(warn))
      },
    }
  }

  return { send, sendWithRetry, createWatcher, idle: pending.idle }
}
