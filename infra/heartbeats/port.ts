/** Measures how long rentals have run, as far as the scheduler has acknowledged it. Heartbeats are no events; what
 *  follows from them is one (UsageMetered). A silence is the time between two beats, by a clock that cannot be set. One
 *  up to the tolerance counts, a longer one counts nothing, and what comes after the last beat counts nothing yet.
 *
 *  The wall clock may be set, forward or back. The silence in which that happened counts nothing. Where it was set back,
 *  what earlier beats said about the time that comes again is forgotten: only new beats acknowledge it. */
export type Heartbeats = {
  /** Records that the scheduler was at work at `at` (ISO 8601), which is now. It holds for every rental that is active
   *  then, by RentalActivated and RentalEnded in the log: one write, however many there are. */
  beat(at: string): Promise<void>
  /** Resolves to the whole seconds from `startedAt` to `until` (ISO 8601) that are acknowledged, rounded down. */
  acknowledged(rental: string, startedAt: string, until: string): Promise<bigint>
  /** Resolves to whether no later beat can change what is acknowledged up to `until`: there is a beat after it, or the
   *  silence that goes on at `now` is longer than the tolerance. */
  isFinal(until: string, now: string): Promise<boolean>
}

/** Milliseconds. A silence up to this long is still billed. */
export const silenceMsMax = 30_000
/** How far the wall clock may move against the time of the machine within a span: what is more was set. */
export const clockDriftMsMax = 1_000
/** A beat that was overtaken by a later one is stored within this time, if at all. */
export const lateBeatMsMax = 60_000
