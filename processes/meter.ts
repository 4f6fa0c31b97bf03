import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import { isRefusal } from '../domain/errors.ts'
import { withinLease } from '../domain/rental.ts'
import { plusSeconds } from '../domain/time.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import { finalAnswers } from './final-answers.ts'
import { timerKeys } from './names.ts'
import type { Cancel, Schedule, Timers } from './timers.ts'

type Dependencies = {
  readonly commands: Commands
  readonly heartbeats: Pick<Heartbeats, 'acknowledged'>
  readonly schedule: Schedule
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly chargePeriodSeconds: number
}

/** Sets the timers of a rental that has just begun: its first charge period, and its end. */
export const startMeter = async (
  { schedule, chargePeriodSeconds }: Dependencies,
  rental: string,
  startedAt: string,
  endsAt: string,
): Promise<void> => {
  const firstEnd = plusSeconds(startedAt, chargePeriodSeconds)
  await Promise.all([
    schedule('meter', { rental, period: 1 }, { key: timerKeys.meter(rental), runAt: firstEnd }),
    schedule('expire', { rental }, { key: timerKeys.expire(rental), runAt: endsAt }),
  ])
}

/** Removes the timers of a rental that has ended. */
export const stopMeter = async ({ cancel }: { readonly cancel: Cancel }, rental: string): Promise<void> => {
  await Promise.all([cancel(timerKeys.meter(rental)), cancel(timerKeys.expire(rental))])
}

/** Ends one charge period: turns the acknowledged run into UsageMetered, and sets the next timer while the rental runs.
 *  Where heartbeats are missing, nothing is acknowledged, so nothing is charged. After an outage the first period that
 *  ends from now on is next: one charge covers those that are past. */
export const meterPeriod = async (dependencies: Dependencies, { rental, period }: Timers['meter']): Promise<void> => {
  const { heartbeats, schedule, now, chargePeriodSeconds } = dependencies
  const commands = finalAnswers(dependencies.commands)
  const { state, first } = await commands.current('rental', rental)
  if (state.status !== 'active') return
  const meteredAt = withinLease(state, now())
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'MeterRental', runSeconds: await heartbeats.acknowledged(rental, state.startedAt, meteredAt), meteredAt },
    requestEnvelope(commandIds.meterRental(rental, period), systemActors.meter, meteredAt, first?.correlationId),
  )
  if (isRefusal(answer)) return
  const runMs = Date.parse(now()) - Date.parse(state.startedAt)
  const next = Math.max(period, Math.floor(runMs / (chargePeriodSeconds * 1000))) + 1
  const runAt = plusSeconds(state.startedAt, chargePeriodSeconds * next)
  await schedule('meter', { rental, period: next }, { key: timerKeys.meter(rental), runAt })
}
