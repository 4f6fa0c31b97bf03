import { completeEnd, expireRental, jobEnded } from '../processes/end-rental.ts'
import { finalAnswers } from '../processes/final-answers.ts'
import { meterPeriod, startMeter } from '../processes/meter.ts'
import { retryHandler, runSubscriber } from '../processes/subscriber.ts'
import type { Schedule, TimerHandlers } from '../processes/timers.ts'
import type { Platform } from './platform.ts'

type Parts = Pick<Platform, 'commands' | 'heartbeats' | 'schedule' | 'now'> & {
  readonly config: Pick<Platform['config'], 'chargePeriodSeconds'>
}

/** Returns the handlers that run when a timer fires. */
export const timerHandlers = (platform: Omit<Parts, 'schedule'>, schedule: Schedule): TimerHandlers => {
  const parts = partsOf({ ...platform, schedule })
  return {
    meter: (timer) => meterPeriod(parts, timer),
    expire: ({ rental }) => expireRental({ ...parts, commands: finalAnswers(parts.commands) }, rental),
    walk: (timer) => retryHandler(parts, timer),
  }
}

/** Starts the worker: it runs every saga to its end, and sets the timers of each rental that becomes active. */
export const startWorker = (platform: Platform): void => {
  const { bus, schedule, shutdown } = platform
  const running = runSubscriber({ ...partsOf(platform), bus, schedule, signal: shutdown.signal })
  shutdown.add('worker', () => running)
}

const partsOf = ({ commands, heartbeats, schedule, now, config }: Parts) => {
  const meter = { commands, heartbeats, schedule, now, chargePeriodSeconds: config.chargePeriodSeconds }
  return {
    ...meter,
    activated: (rental: string, startedAt: string, endsAt: string) => startMeter(meter, rental, startedAt, endsAt),
    jobEnded: (job: string) => jobEnded(meter, job),
    endRequested: (rental: string) => completeEnd(meter, rental),
  }
}
