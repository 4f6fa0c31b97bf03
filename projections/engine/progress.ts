import type { EventStore, Position } from '../../infra/event-store/port.ts'

/** The progress of a version that is being built. `lag` is the rest of the log in the unit of the store: events, or
 *  bytes of its log. `perSecond` is how much of it was done each second, and `secondsLeft` follows from both: both are
 *  null while unknown. */
export type Progress = {
  readonly position: string
  readonly percent: number
  readonly lag: number
  readonly perSecond: number | null
  readonly secondsLeft: number | null
}

/** Two points of a build: where and when a process began to work on it, and where it is now. */
export type BuildPoints = {
  readonly position: Position
  readonly beganPosition: Position
  readonly beganAtMs: number
  readonly atMs: number
}

const rounded = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

/** Returns the progress of a build, given the end of the log. */
export const progressOf = (
  store: Pick<EventStore, 'start' | 'distance'>,
  head: Position,
  build: BuildPoints,
): Progress => {
  const { position, beganPosition, beganAtMs, atMs } = build
  const whole = store.distance(store.start, head)
  const lag = Math.max(0, store.distance(position, head))
  const seconds = (atMs - beganAtMs) / 1000
  const perSecond = seconds > 0 ? store.distance(beganPosition, position) / seconds : 0
  return {
    position,
    percent: whole > 0 ? Math.max(0, rounded(100 - (100 * lag) / whole, 1)) : 100,
    lag,
    perSecond: perSecond > 0 ? Math.round(perSecond) : null,
    secondsLeft: perSecond > 0 ? Math.ceil(lag / perSecond) : null,
  }
}
