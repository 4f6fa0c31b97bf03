import { completeEnd, expireRental, jobEnded } from '../processes/end-rental.ts'
import { finalAnswers } from '../processes/final-answers.ts'
import { meterPeriod, startMeter, stopMeter } from '../processes/meter.ts'
import { retryHandler, runSubscriber } from '../processes/subscriber.ts'
import type { Cancel, Schedule, TimerHandlers } from '../processes/timers.ts'
import type { Platform } from './platform.ts'

type Parts = Pick<Platform, 'commands' | 'heartbeats' | 'schedule' | 'cancel' | 'now'> & {
  readonly config: Pick<Platform['config'], 'chargePeriodSeconds'>
}

/** Returns the handlers that run when a timer fires. */
export const timerHandlers = (
  platform: Omit<Parts, 'schedule' | 'cancel'>,
  schedule: Schedule,
  cancel: Cancel,
): TimerHandlers => {
  const parts = partsOf({ ...platform, schedule, cancel })
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

const partsOf = ({ commands, heartbeats, schedule, cancel, now, config }: Parts) => {
  const meter = { commands, heartbeats, schedule, now, chargePeriodSeconds: config.chargePeriodSeconds }
  return {
    ...meter,
    activated: (rental: string, startedAt: string, endsAt: string) => startMeter(meter, rental, startedAt, endsAt),
    ended: (rental: string) => stopMeter({ cancel }, rental),
    jobEnded: (job: string) => jobEnded(meter, job),
    endRequested: (rental: string) => completeEnd(meter, rental),
  }
}
