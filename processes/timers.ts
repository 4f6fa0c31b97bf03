/** Timers by name, with their payloads. They are stored in the database as tasks of the task queue: they fire also when
 *  the process that set them is gone, are retried with growing pauses when they fail, and may fire twice. */
export type Timers = {
  /** A charge period of a rental is over. `period` counts from 1. */
  readonly meter: { readonly rental: string; readonly period: number }
  /** A rental has reached the end of the time it was rented for. */
  readonly expire: { readonly rental: string }
  /** A handler of an event met an unexpected error and is retried. `process` is the handler, `revision` that of the
   *  event, as decimal text. */
  readonly walk: { readonly process: string; readonly id: string; readonly revision: string }
}

/** Sets a timer. One timer per key: setting it again replaces the earlier one. `runAt` is ISO 8601. */
export type Schedule = <Name extends keyof Timers>(
  name: Name,
  payload: Timers[Name],
  options: { readonly key: string; readonly runAt: string },
) => Promise<void>

/** Removes a timer. An unknown key is no error. */
export type Cancel = (key: string) => Promise<void>

export type TimerHandlers = { readonly [Name in keyof Timers]: (payload: Timers[Name]) => Promise<void> }
