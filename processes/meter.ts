import { type Actor, systemActor } from '../commands/actor.ts'
import { type Commands, type Executed, requestEnvelope } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import { isRefusal, type Refusal } from '../domain/errors.ts'
import type { EndReason, State } from '../domain/rental.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import { plusSeconds } from './time.ts'
import type { Schedule, Timers } from './timers.ts'

type Dependencies = {
  readonly commands: Commands
  readonly heartbeats: Heartbeats
  readonly schedule: Schedule
  readonly now: () => string
  readonly chargePeriodSeconds: number
}

/** Sets the timers of a rental that has just begun: its first charge period, and its end. */
export const startMeter = async (
  { schedule, chargePeriodSeconds }: Dependencies,
  rental: string,
  startedAt: string,
  endsAt: string,
) => {
  await schedule(
    'meter',
    { rental, period: 1 },
    { key: `meter:${rental}`, runAt: plusSeconds(startedAt, chargePeriodSeconds) },
  )
  await schedule('expire', { rental }, { key: `expire:${rental}`, runAt: endsAt })
}

/** One charge period is over: turns the acknowledged run into UsageMetered and sets the next timer while the rental runs. */
export const meterPeriod = async (dependencies: Dependencies, { rental, period }: Timers['meter']): Promise<void> => {
  const { commands, heartbeats, schedule, now, chargePeriodSeconds } = dependencies
  const { state, first } = await commands.current('rental', rental)
  if (state.status !== 'active') return
  const meteredAt = withinLease(state, now())
  const commandId = derivedId('meter', rental, String(period))
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'MeterRental', runSeconds: await heartbeats.acknowledged(rental, state.startedAt, meteredAt), meteredAt },
    requestEnvelope(commandId, systemActor('meter'), meteredAt, first?.correlationId),
  )
  if (isRefusal(answer)) return
  const next = { rental, period: period + 1 }
  await schedule('meter', next, {
    key: `meter:${rental}`,
    runAt: plusSeconds(state.startedAt, chargePeriodSeconds * next.period),
  })
}

/** Ends a rental with its exact run. Settling follows from RentalEnded. The command id says who asked: the same asker twice
 *  is one request. */
export const endRental = async (
  {
    commands,
    heartbeats,
    now,
  }: Pick<Dependencies, 'commands' | 'now'> & { readonly heartbeats: Pick<Heartbeats, 'acknowledged'> },
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<Executed<'rental'> | Refusal> => {
  const { state, first } = await commands.current('rental', rental)
  const endedAt = withinLease(state, now())
  const runSeconds = state.status === 'active' ? await heartbeats.acknowledged(rental, state.startedAt, endedAt) : 0n
  const commandId = derivedId('end', rental, reason, actor)
  return commands.execute(
    'rental',
    rental,
    { type: 'EndRental', reason, runSeconds, endedAt },
    requestEnvelope(commandId, actor, endedAt, first?.correlationId),
  )
}

/** A timer may fire late: what came after the time that was rented is not paid for, and makes up for no earlier silence. */
const withinLease = (rental: State, now: string): string =>
  rental.status === 'active' && rental.endsAt < now ? rental.endsAt : now
