import type { EventStore, Position } from '../../infra/event-store/port.ts'

/** How far a version is that is being built. `lag` is the rest, in what the store counts by (events, or bytes of its log);
 *  `perSecond` is how much of that was done each second, and `secondsLeft` what follows from both: null while nobody knows. */
export type Progress = {
  readonly position: string
  readonly percent: number
  readonly lag: number
  readonly perSecond: number | null
  readonly secondsLeft: number | null
}

/** A build on its way: since `beganAt` (ms), when it was at `beganPosition`, a process has been at it. */
export type BuildProgress = {
  readonly position: Position
  readonly beganPosition: Position
  readonly beganAtMs: number
  readonly atMs: number
}

const rounded = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

/** What to say about a build, given where the log ends. */
export const progressOf = (
  store: Pick<EventStore, 'start' | 'distance'>,
  head: Position,
  way: BuildProgress,
): Progress => {
  const { position, beganPosition, beganAtMs, atMs } = way
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
