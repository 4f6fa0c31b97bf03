/** How long a rental has really run, as far as its provider has said so. Heartbeats are no events: only what follows from
 *  them is (UsageMetered). Unknown is not dead, and dead is not billed: silence longer than the tolerance counts nothing. */
export type Heartbeats = {
  /** The rental runs from `startedAt` (ISO 8601). A second call changes nothing. */
  begin(rental: string, startedAt: string): Promise<void>
  /** The provider says at `at` that these rentals still run. */
  beat(rentals: readonly string[], at: string): Promise<void>
  /** Whole seconds that are acknowledged up to `at`, rounded down: all beats, and the time since the last one unless it is
   *  longer than the tolerance. A rental that never began counts from `startedAt`. */
  acknowledged(rental: string, startedAt: string, at: string): Promise<bigint>
  /** The rental is over; its row is dropped. */
  end(rental: string): Promise<void>
}
