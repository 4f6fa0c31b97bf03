import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import type { Commands, Executed } from '../commands/execute.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { type ErrorCode, Failure, isRefusal, type Refusal } from '../domain/errors.ts'
import { createBackoff } from '../infra/async/backoff.ts'
import { sleep } from '../infra/async/sleep.ts'
import { errorCode } from '../infra/system/errors.ts'
import type { Log } from '../infra/telemetry.ts'

/** How long a report is tried again, and with what pauses. */
export type RetryLimits = { readonly pauseMsMin: number; readonly pauseMsMax: number; readonly triesMsMax: number }
const retryLimits: RetryLimits = { pauseMsMin: 500, pauseMsMax: 15_000, triesMsMax: 600_000 }

/** How the time of the pauses passes: `clock` in milliseconds from any beginning, `sleep` as in infra/async. */
export type RetryTime = { readonly clock: () => number; readonly sleep: typeof sleep }
const realTime: RetryTime = { clock: () => performance.now(), sleep }

/** What became of a report:
 *  - `recorded`: it is in the log, or was nothing new.
 *  - `late`: the attempt is over, so no one needs it.
 *  - `unstorable`: the log will never take it.
 *  - `given up`: it was tried for the whole time, and its outcome is unknown. */
export type Sent = 'recorded' | 'late' | 'unstorable' | 'given up'

const lateCodes: ReadonlySet<ErrorCode> = new Set([
  'JOB_ATTEMPT_STALE',
  'JOB_FINISHED',
  'JOB_NOT_RUNNING',
  'JOB_NOT_QUEUED',
  'JOB_UNKNOWN',
] as const)

/** Classes of SQLSTATE by which a database refuses a value: data exception, program limit exceeded. */
const valueRefused = /^(22|54)...$/

/** Returns whether the same report will fail again, whenever it is sent. */
const isUnstorable = (error: unknown): boolean =>
  error instanceof Failure ? error.code === 'EVENT_INVALID' : valueRefused.test(errorCode(error) ?? '')

export type SendReport = {
  /** Sends one command to a job, once. Its command id is derived from the job, the type of the command and `identity`:
   *  a report that is sent twice is stored once. */
  send(job: string, command: CommandOf<'job'>, ...identity: string[]): Promise<Executed<'job'> | Refusal>
  /** Makes and sends one command to a job, again with growing pauses while an outage or a conflict is in the way. Never
   *  throws; logs what was not recorded. Gives up when the signal aborts. */
  sendWithRetry(job: string, makeCommand: () => Promise<CommandOf<'job'>>, ...identity: string[]): Promise<Sent>
}

/** Creates the functions that send reports of the scheduler to the log. */
export const createSendReport = ({
  commands,
  now,
  log,
  limits = retryLimits,
  time = realTime,
  signal,
}: {
  readonly commands: Pick<Commands, 'current' | 'execute'>
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
  readonly limits?: RetryLimits | undefined
  readonly time?: RetryTime | undefined
  readonly signal: AbortSignal
}): SendReport => {
  const send: SendReport['send'] = async (job, command, ...identity) => {
    const { first, last } = await commands.current('job', job)
    const commandId = commandIds.reportJob(job, command.type, ...identity)
    const correlationId = first?.correlationId ?? commandId
    const causationId = last?.eventId ?? commandId
    const envelope = { commandId, correlationId, causationId, actor: systemActors.scheduler, time: now() }
    return commands.execute('job', job, command, envelope)
  }

  /** Resolves to undefined when another try may succeed. */
  const tryOnce = async (
    job: string,
    makeCommand: () => Promise<CommandOf<'job'>>,
    identity: readonly string[],
  ): Promise<{ readonly sent: Sent | undefined; readonly problem?: unknown }> => {
    try {
      const command = await makeCommand()
      const answer = await send(job, command, ...identity)
      if (!isRefusal(answer)) return { sent: 'recorded' }
      const problem = new Failure(answer.refused, answer.details)
      if (answer.refused === 'CONFLICT_UNRESOLVED') return { sent: undefined, problem }
      return { sent: lateCodes.has(answer.refused) ? 'late' : 'unstorable', problem }
    } catch (problem) {
      return { sent: isUnstorable(problem) ? 'unstorable' : undefined, problem }
    }
  }

  const sendWithRetry: SendReport['sendWithRetry'] = async (job, makeCommand, ...identity) => {
    const backoff = createBackoff({ minMs: limits.pauseMsMin, maxMs: limits.pauseMsMax })
    const giveUpAt = time.clock() + limits.triesMsMax
    for (;;) {
      const { sent, problem } = await tryOnce(job, makeCommand, identity)
      if (sent === 'late') log.info({ job, err: problem }, 'a report came too late')
      if (sent === 'unstorable') log.error({ job, err: problem }, 'a report can never be recorded')
      if (sent !== undefined) return sent
      if (signal.aborted || time.clock() + backoff.nextMs > giveUpAt) {
        log.error({ job, err: problem }, 'a report could not be recorded and is given up')
        return 'given up'
      }
      if (backoff.isFresh) log.warn({ job, err: problem }, 'a report could not be recorded and is tried again')
      await time.sleep(backoff.take(), signal)
    }
  }

  return { send, sendWithRetry }
}
