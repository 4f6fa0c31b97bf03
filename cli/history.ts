// The log as the tools read it: between two boundaries, in batches, with progress.
import { Failure } from '../domain/errors.ts'
import { readMoment } from '../domain/moments.ts'
import type { EventStore, Position, StoredEvent } from '../infra/event-store/port.ts'
import { weightOf } from '../infra/system/weight.ts'

/** A boundary in history as a person gives it: a moment (ISO 8601 in UTC) or a position. */
export type LogBoundary =
  | { readonly time: string; readonly position?: never }
  | { readonly position: Position; readonly time?: never }

const day = /^\d{4}-\d\d-\d\d$/
/** A position of some store: its name, perhaps an epoch, and twenty digits once or twice. */
const position = /^\S{1,100}?-\d{20}(-\d{20})?$/
const takes = 'a position of this log, a day (2026-11-22) or a moment with its zone (2026-11-22T10:00:00Z)'

/** Reads the value of an option as a boundary. Throws INPUT_INVALID, and POSITION_FOREIGN for a position of another
 *  store. */
export const parseBoundary = (option: string, text: string, store: Pick<EventStore, 'parsePosition'>): LogBoundary => {
  if (position.test(text)) return { position: store.parsePosition(text) }
  const time = readMoment(day.test(text) ? `${text}T00:00:00Z` : text)
  if (time === undefined) throw new Failure('INPUT_INVALID', { [option]: text, takes })
  return { time }
}

/** `done` is the share of the history that was read, from 0 to 1. */
export type HistoryBatch = { readonly events: readonly StoredEvent[]; readonly done: number }

const batchEventsMax = 1_000
/** A batch ends with the event that reaches so many bytes in memory. */
const batchBytesMax = 16 * 1024 * 1024

/** Yields the events after one position up to another, in batches of at most `eventsMax` and of about 16 MiB. Both positions may lie beyond
 *  the ends of the log. The next batch is read when the caller asks for it. Throws the reason of the signal when it
 *  aborts. */
export async function* readHistory(options: {
  readonly store: Pick<EventStore, 'readAll' | 'distance'>
  readonly after: Position
  readonly upTo: Position
  readonly types?: readonly string[]
  readonly eventsMax?: number
  readonly signal: AbortSignal
}): AsyncGenerator<HistoryBatch> {
  const { store, after, upTo, types, eventsMax = batchEventsMax, signal } = options
  const whole = after < upTo ? store.distance(after, upTo) : 0
  let events: StoredEvent[] = []
  let bytes = 0
  const batch = (done: number): HistoryBatch => {
    const full = events
    events = []
    bytes = 0
    return { events: full, done }
  }
  if (after < upTo)
    for await (const event of store.readAll({ after, ...(types && { types }) })) {
      signal.throwIfAborted()
      if (event.position > upTo) break
      events.push(event)
      bytes += weightOf(event.data)
      if (events.length >= eventsMax || bytes >= batchBytesMax)
        yield batch(Math.min(1, store.distance(after, event.position) / whole))
    }
  yield batch(1)
}
