/** Measures how long a rental has run, as far as the scheduler of its cluster has acknowledged it. Heartbeats are no
 *  events; what follows from them is one (UsageMetered). Unknown is not dead, and dead is not billed: silence longer
 *  than the tolerance counts nothing. */
export type Heartbeats = {
  /** Starts counting at `startedAt` (ISO 8601). A second call changes nothing. */
  begin(rental: string, startedAt: string): Promise<void>
  /** Records that the scheduler has reported at `at` (ISO 8601) that these rentals still run. */
  beat(rentals: readonly string[], at: string): Promise<void>
  /** Resolves to the whole seconds that are acknowledged up to `at`, rounded down: all beats, and the time since the
   *  last one unless it is longer than the tolerance. A rental that never began counts from `startedAt`. */
  acknowledged(rental: string, startedAt: string, at: string): Promise<bigint>
  /** Removes the row of a rental that is over. */
  end(rental: string): Promise<void>
}
