import { type Actor, systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import { type Commands, type Executed, requestEnvelope } from '../commands/execute.ts'
import { Failure, isRefusal, type Refusal } from '../domain/errors.ts'
import { type EndReason, withinLease } from '../domain/rental.ts'
import { plusSeconds } from '../domain/time.ts'
import type { Position } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import { closeEndedJobs, closeJob } from './close-job.ts'
import { timerKeys } from './names.ts'
import { runSagaOnce } from './saga.ts'
import { settle } from './settle.ts'
import type { Schedule } from './timers.ts'

type Dependencies = {
  readonly commands: Commands
  readonly heartbeats: Pick<Heartbeats, 'acknowledged'>
  /** ISO 8601 in UTC. */
  readonly now: () => string
}
type Durable = Dependencies & { readonly heartbeats: Pick<Heartbeats, 'isFinal'>; readonly schedule: Schedule }

/** `position` is that of the last event of the request; undefined when there is none. */
export type EndAnswer = { readonly outcome: 'ended' | 'ending'; readonly position: Position | undefined }

/** Ends a rental. Without open jobs it ends at once, with its exact run and its invoice; when this dies half way, the
 *  durable subscription goes on. With open jobs it is `ending`: the jobs are stopped, and `completeEnd` follows when
 *  the last of them has ended. Refuses RENTAL_NOT_ACTIVE, NOT_YOURS. */
export const endAndSettle = async (
  dependencies: Dependencies,
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<EndAnswer | Refusal> => {
  const answer = await endRental(dependencies, rental, reason, actor)
  if (isRefusal(answer)) return answer
  if (answer.state.status === 'ending') return { outcome: 'ending', position: answer.position }
  const settled = await settleEnd(dependencies, rental, answer)
  return { outcome: 'ended', position: settled ?? answer.position }
}

/** Ends a rental with its exact run, or requests its end while jobs run; the rest follows from the event. The same actor
 *  twice is one request. Refuses RENTAL_NOT_ACTIVE, NOT_YOURS. */
export const endRental = async (
  { commands, heartbeats, now }: Dependencies,
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<Executed<'rental'> | Refusal> => {
  const known = await commands.known('rental', rental)
  const isPlain = known.state.status === 'active' && known.state.openJobs.size === 0
  if (!isPlain) await closeEndedJobs({ commands, now }, rental)
  // Of an active lease nothing changes that is used here; what has come after it, the append finds.
  const { state, first } = isPlain ? known : await commands.current('rental', rental)
  const endedAt = withinLease(state, now())
  const runSeconds = state.status === 'active' ? await heartbeats.acknowledged(rental, state.startedAt, endedAt) : 0n
  return commands.execute(
    'rental',
    rental,
    { type: 'EndRental', reason, runSeconds, endedAt },
    requestEnvelope(commandIds.endRental(rental, reason, actor), actor, endedAt, first?.correlationId),
  )
}

/** How long an end waits for the next heartbeat before it looks again. */
const nextBeatSeconds = 2

/** Ends a rental whose time is over. Without open jobs it waits until it is known what was acknowledged up to that
 *  moment: a silence that goes on still looks short, and is measured only when a beat has ended it or it is too long to
 *  count. */
export const expireRental = async (dependencies: Durable, rental: string): Promise<void> => {
  const { commands, heartbeats, now, schedule } = dependencies
  await closeEndedJobs(dependencies, rental)
  const { state } = await commands.current('rental', rental)
  if (state.status === 'ending') return completeEnd(dependencies, rental)
  if (state.status !== 'active') return
  const at = now()
  const isDue = at >= state.endsAt && (state.openJobs.size > 0 || (await heartbeats.isFinal(state.endsAt, at)))
  if (isDue) {
    const answer = await endAndSettle(dependencies, rental, 'expired', systemActors.meter)
    throwUnlessFinal(answer)
    return
  }
  const again = at < state.endsAt ? state.endsAt : plusSeconds(at, nextBeatSeconds)
  await schedule('expire', { rental }, { key: timerKeys.expire(rental), runAt: again })
}

/** Takes the end of a rental that is ending as far as the log allows: asks its open jobs to stop, closes those that have
 *  ended, and ends and settles the rental after the last of them. Safe to call at any time, any number of times. */
export const completeEnd = async (dependencies: Durable, rental: string): Promise<void> => {
  const { commands, heartbeats, now, schedule } = dependencies
  await closeEndedJobs(dependencies, rental)
  const { state, first } = await commands.current('rental', rental)
  if (state.status !== 'ending') return
  if (state.openJobs.size > 0) return stopJobs(dependencies, [...state.openJobs.keys()], first?.correlationId)
  const until = withinLease(state, now())
  if (!(await heartbeats.isFinal(until, now()))) {
    const runAt = plusSeconds(now(), nextBeatSeconds)
    return schedule('expire', { rental }, { key: timerKeys.expire(rental), runAt })
  }
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'CompleteEnd', runSeconds: await heartbeats.acknowledged(rental, state.startedAt, until) },
    requestEnvelope(commandIds.completeEnd(rental), systemActors.meter, now(), first?.correlationId),
  )
  throwUnlessFinal(answer)
  if (!isRefusal(answer)) await settleEnd(dependencies, rental, answer)
}

/** Records in its rental that a job has ended, and completes the end of the rental if that waited for it. */
export const jobEnded = async (dependencies: Durable, job: string): Promise<void> => {
  const rental = await closeJob(dependencies, job)
  if (rental !== undefined) await completeEnd(dependencies, rental)
}

/** Asks jobs to stop. The scheduler does so too; whichever comes first is recorded. */
const stopJobs = async (
  { commands, now }: Pick<Dependencies, 'commands' | 'now'>,
  jobs: readonly string[],
  correlationId: string | undefined,
): Promise<void> => {
  for (const job of jobs) {
    const { state } = await commands.current('job', job)
    if ((state.status !== 'queued' && state.status !== 'running') || state.stopRequested) continue
    const answer = await commands.execute(
      'job',
      job,
      { type: 'RequestStop', reason: 'the rental ends', requestedAt: now() },
      requestEnvelope(commandIds.stopForEnd(job), systemActors.meter, now(), correlationId),
    )
    throwUnlessFinal(answer)
  }
}

/** Runs `settle` for the RentalEnded among the events of an answer, at once. Resolves to the position of its last
 *  event. */
const settleEnd = async (dependencies: Dependencies, rental: string, { events }: Executed<'rental'>) => {
  const ended = events.find(({ event }) => event.type === 'RentalEnded')
  if (!ended) return undefined
  return (await runSagaOnce(dependencies, settle, { id: rental, revision: ended.revision })).position
}

/** Throws a refusal that a later try may not meet; any other means that another process came first. */
const throwUnlessFinal = (answer: unknown): void => {
  if (isRefusal(answer) && answer.refused === 'CONFLICT_UNRESOLVED') throw new Failure(answer.refused, answer.details)
}
