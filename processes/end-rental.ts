import { type Actor, systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import { type Commands, type Executed, requestEnvelope } from '../commands/execute.ts'
import { isRefusal, type Refusal } from '../domain/errors.ts'
import { type EndReason, withinLease } from '../domain/rental.ts'
import type { Position } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import { timerKeys } from './names.ts'
import { runSaga } from './saga.ts'
import { settle } from './settle.ts'
import { plusSeconds } from './time.ts'
import type { Schedule } from './timers.ts'

type Dependencies = {
  readonly commands: Commands
  readonly heartbeats: Pick<Heartbeats, 'acknowledged'>
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

/** Ends a rental with its exact run and runs `settle` at once, so that the invoice is there with the answer. When this
 *  dies half way, the durable subscription goes on. Refuses RENTAL_NOT_ACTIVE, NOT_YOURS. */
export const endAndSettle = async (
  dependencies: Dependencies,
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<{ readonly position: Position | undefined } | Refusal> => {
  const answer = await endRental(dependencies, rental, reason, actor)
  if (isRefusal(answer)) return answer
  const ended = answer.events.find(({ event }) => event.type === 'RentalEnded')
  if (!ended) return answer
  const settled = await runSaga(dependencies, settle, { id: rental, revision: ended.revision })
  return { position: settled.position ?? answer.position }
}

/** How long the end of a lease waits for the next heartbeat before it looks again. */
const nextBeatSeconds = 2

/** Ends a rental whose time is over, once it is known what was acknowledged up to that moment: a silence that goes on
 *  still looks short, and is measured only when a beat has ended it or it is too long to count. */
export const expireRental = async (
  dependencies: Dependencies & {
    readonly heartbeats: Pick<Heartbeats, 'isFinal'>
    readonly schedule: Schedule
  },
  rental: string,
): Promise<void> => {
  const { commands, heartbeats, now, schedule } = dependencies
  const { state } = await commands.current('rental', rental)
  if (state.status !== 'active') return
  if (await heartbeats.isFinal(state.endsAt, now())) {
    await endAndSettle(dependencies, rental, 'expired', systemActors.meter)
    return
  }
  await schedule('expire', { rental }, { key: timerKeys.expire(rental), runAt: plusSeconds(now(), nextBeatSeconds) })
}

/** Ends a rental with its exact run; `settle` follows from RentalEnded. The same actor twice is one request. Refuses
 *  RENTAL_NOT_ACTIVE, NOT_YOURS. */
export const endRental = async (
  { commands, heartbeats, now }: Dependencies,
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<Executed<'rental'> | Refusal> => {
  const { state, first } = await commands.current('rental', rental)
  const endedAt = withinLease(state, now())
  const runSeconds = state.status === 'active' ? await heartbeats.acknowledged(rental, state.startedAt, endedAt) : 0n
  return commands.execute(
    'rental',
    rental,
    { type: 'EndRental', reason, runSeconds, endedAt },
    requestEnvelope(commandIds.endRental(rental, reason, actor), actor, endedAt, first?.correlationId),
  )
}
