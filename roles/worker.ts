import { systemActor } from '../commands/actor.ts'
import { endRental, meterPeriod, startMeter } from '../processes/meter.ts'
import { runProcesses, walkAgain } from '../processes/run.ts'
import type { TimerHandlers } from '../processes/timers.ts'
import type { Platform } from './platform.ts'

/** What happens when a timer fires. */
export const timerHandlers = (platform: Omit<Platform, 'schedule'>, schedule: Platform['schedule']): TimerHandlers => {
  const { commands, heartbeats, now, config } = platform
  const meter = { commands, heartbeats, schedule, now, chargePeriodSeconds: config.chargePeriodSeconds }
  return {
    meter: (timer) => meterPeriod(meter, timer),
    expire: async ({ rental }) => {
      await endRental(meter, rental, 'expired', systemActor('meter'))
    },
    walk: (timer) => walkAgain({ commands, now }, timer),
  }
}

/** Walks every process to its end, and sets the timers of each rental that begins. */
export const startWorker = ({ bus, commands, heartbeats, schedule, now, config, shutdown }: Platform): void => {
  const meter = { commands, heartbeats, schedule, now, chargePeriodSeconds: config.chargePeriodSeconds }
  const walking = runProcesses({
    bus,
    commands,
    now,
    schedule,
    activated: (rental, startedAt, endsAt) => startMeter(meter, rental, startedAt, endsAt),
    signal: shutdown.signal,
  })
  shutdown.add('worker', () => walking)
}
