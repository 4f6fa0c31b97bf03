import type { Position } from '../../infra/event-store/port.ts'

/** The next batch: the number of events from which it is full. With `refuse`, its only event is refused with that
 *  error. */
export type BatchSize = { readonly events: number; readonly refuse: { readonly error: unknown } | undefined }

export type Narrowing = {
  size(): BatchSize
  /** Reports that a batch behind this position, of about so many events, took too long or too much. The first time it
   *  changes nothing: the database may just be busy. */
  overloaded(position: Position, events: number, error: unknown): void
  /** Reports that the batch was written. Returns true when the next one may be another: larger, or
   *  not refused. */
  written(): boolean
}

/** Creates the size of the batches of a runner. A batch that meets a time-out or a lack of memory again, at the same
 *  position although other statements succeed, is halved; one event that meets it again is refused. Afterwards the size
 *  doubles with each batch that is written. */
export const createNarrowing = (eventsMax: number): Narrowing => {
  let events = eventsMax
  let overloadedAt: Position | undefined
  let refuse: BatchSize['refuse']
  return {
    size: () => ({ events, refuse }),
    overloaded: (position, attempted, error) => {
      const again = position === overloadedAt
      overloadedAt = position
      if (!again) return
      if (events === 1) refuse = { error }
      else events = Math.max(1, Math.min(events, attempted) >> 1)
    },
    written: () => {
      const isNarrowed = refuse !== undefined || events < eventsMax
      overloadedAt = undefined
      refuse = undefined
      events = Math.min(eventsMax, events * 2)
      return isNarrowed
    },
  }
}
