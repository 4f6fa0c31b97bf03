/** What can be set to happen later. Timers are kept in the database: they fire also when whoever set them is gone, are tried
 *  again with growing pauses when they fail, and may fire twice. */
export type Timers = {
  /** A charge period of a rental is over. `period` counts from 1. */
  readonly meter: { readonly rental: string; readonly period: number }
  /** A rental has reached the end of the time it was rented for. */
  readonly expire: { readonly rental: string }
  /** What follows from an event met an error that nobody expected. `revision` is the event's, as decimal text. */
  readonly walk: { readonly process: string; readonly id: string; readonly revision: string }
}

/** One timer per key: setting it again replaces the earlier one. `runAt` is ISO 8601. */
export type Schedule = <Name extends keyof Timers>(
  name: Name,
  payload: Timers[Name],
  options: { readonly key: string; readonly runAt: string },
) => Promise<void>

export type TimerHandlers = { readonly [Name in keyof Timers]: (payload: Timers[Name]) => Promise<void> }
