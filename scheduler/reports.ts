import type { Commands } from '../commands/execute.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { messageCharactersMax } from '../domain/job.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { JobOutcome, JobProgress, JobWatcher } from '../infra/clusters/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { createPending } from './pending.ts'
import { createSendReport, type RetryLimits, type RetryTime, type SendReport, type Sent } from './send-report.ts'

/** Progress is reported about once a second at most; the end of an attempt is always reported. */
const progressPeriodMs = 1_000
/** How long reports that are under way may be tried when the scheduler stops. */
const closeMsMax = 10_000

/** Why a job stops when the lease ends. */
export const leaseOver = 'the rented time is over'

type Dependencies = {
  readonly commands: Commands
  readonly heartbeats: Pick<Heartbeats, 'beat'>
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
  readonly limits?: RetryLimits | undefined
  readonly time?: RetryTime | undefined
}

export type Reports = Pick<SendReport, 'send'> & {
  /** Records the end of an attempt, or that it could not start. One that the log will never take ends the attempt with
   *  JOB_REPORT_INVALID. A heartbeat is stored before it: who ends the rental then finds the job's time acknowledged.
   *  Never throws. Resolves to whether the end is in the log. */
  recordEnd(job: string, attempt: number, makeCommand: () => Promise<CommandOf<'job'>>): Promise<boolean>
  /** Returns a watcher for one attempt. It turns what the cluster observes into reports, in order, and calls `onEnd`
   *  with whether the end of the attempt is in the log. */
  createWatcher(job: string, attempt: number, onEnd: (isRecorded: boolean) => Promise<void>): JobWatcher
  /** Resolves when no report is pending. */
  idle(): Promise<void>
  /** Resolves when no report is pending. Those that cannot be recorded are given up soon. */
  close(): Promise<void>
}

/** Creates the reports of the scheduler: they record in the log what happens to jobs on a cluster. */
export const createReports = ({ commands, heartbeats, now, log, limits, time }: Dependencies): Reports => {
  const pending = createPending()
  const closing = new AbortController()
  const { send, sendWithRetry } = createSendReport({ commands, now, log, limits, time, signal: closing.signal })
  const isKnown = (sent: Sent) => sent === 'recorded' || sent === 'late'

  const recordEnd: Reports['recordEnd'] = (job, attempt, makeCommand) => {
    const sendAfterBeat = (make: typeof makeCommand) => {
      const beatAndMake = async () => {
        const command = await make()
        await heartbeats.beat(now())
        return command
      }
      return sendWithRetry(job, beatAndMake, String(attempt))
    }
    const record = async () => {
      const sent = await sendAfterBeat(makeCommand)
      if (sent !== 'unstorable') return isKnown(sent)
      const message = 'What the cluster reported about the end of the job cannot be stored.'
      const failed = async () =>
        ({ type: 'FailJob', attempt, code: 'JOB_REPORT_INVALID', message, endedAt: now() }) as const
      return isKnown(await sendAfterBeat(failed))
    }
    return pending.track(record())
  }

  const endCommandOf = async (job: string, attempt: number, outcome: JobOutcome): Promise<CommandOf<'job'>> => {
    const endedAt = now()
    switch (outcome.ended) {
      case 'failed':
        return { type: 'FailJob', attempt, code: outcome.code, message: storable(outcome.message), endedAt }
      case 'lost':
        return { type: 'InterruptJob', attempt, reason: 'its process vanished', interruptedAt: endedAt }
      case 'exited': {
        if (outcome.exitCode === 0) return { type: 'CompleteJob', attempt, endedAt }
        const message = `exit code ${outcome.exitCode}`
        return { type: 'FailJob', attempt, code: 'JOB_EXIT_NONZERO', message, endedAt }
      }
      case 'expired':
        return { type: 'ConfirmStop', attempt, reason: leaseOver, endedAt }
      case 'stopped': {
        const { state } = await commands.current('job', job)
        if (state.status === 'running' && state.stopRequested) return { type: 'ConfirmStop', attempt, endedAt }
        return { type: 'InterruptJob', attempt, reason: 'the platform was stopped', interruptedAt: endedAt }
      }
    }
  }

  const createWatcher: Reports['createWatcher'] = (job, attempt, onEnd) => {
    const over = new AbortController()
    let latest: JobProgress | undefined
    let sentAt = 0
    let sending: Promise<void> | undefined
    /** Sends the progress until there is none newer. During an outage only the latest is kept. */
    const sendLatest = async () => {
      while (latest) {
        const waitMs = sentAt + progressPeriodMs - Date.now()
        if (waitMs > 0) await sleep(waitMs, over.signal)
        const { percent, message } = latest
        latest = undefined
        sentAt = Date.now()
        const reportedAt = now()
        const said = storable(message)
        const command = { type: 'ReportProgress', attempt, percent, message: said, reportedAt } as const
        await sendWithRetry(job, async () => command, String(attempt), String(percent), said)
      }
      sending = undefined
    }
    const recordOutcome = async (outcome: JobOutcome) => {
      await sending
      await onEnd(await recordEnd(job, attempt, () => endCommandOf(job, attempt, outcome)))
    }
    return {
      started: () => undefined,
      progressed: (progress) => {
        latest = progress
        sending ??= pending.track(sendLatest())
      },
      ended: (outcome) => {
        over.abort()
        const message = 'message' in outcome ? { message: storable(outcome.message) } : {}
        log.info({ job, attempt, ...outcome, ...message }, 'job ended')
        // The next pass over all open jobs reconciles this one too.
        const warn = (error: unknown) =>
          log.warn({ job, attempt, err: error }, 'a job could not be reconciled after its end')
        pending.track(recordOutcome(outcome)).catch(warn)
      },
    }
  }

  return {
    send,
    recordEnd,
    createWatcher,
    idle: pending.idle,
    close: async () => {
      const timer = setTimeout(() => closing.abort(), closeMsMax)
      await pending.idle()
      clearTimeout(timer)
    },
  }
}

/** Returns text of a job or a cluster as the log takes it: short, and without characters that no database stores. */
export const storable = (text: string): string =>
  String(text).slice(0, messageCharactersMax).toWellFormed().replaceAll('\0', '\u2400')
