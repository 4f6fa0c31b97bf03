import { Failure } from '../domain/errors.ts'
import type { EventStore, Position, StoredEvent } from '../infra/event-store/port.ts'
import { toMoment } from './engine/table.ts'
import type { EventFilter } from './event-list.ts'
import { namingEvents, partyNamedBy } from './events.ts'

const batchSize = 100
/** The streams of which one subscription remembers whose business they are; of one that was dropped, it is read again. */
const streamsMax = 10_000

/** Events as they are appended, straight from the log: what came after a position, then live. With `party`, only those that are
 *  this wallet's business by then: also of streams that did not exist when the subscription began. The caller's pace is the
 *  pace. Ends when the signal aborts; throws what the store throws. */
export async function* followEvents(options: {
  readonly store: Pick<EventStore, 'subscribe' | 'readStream' | 'head'>
  readonly filter: EventFilter
  readonly party?: string | undefined
  /** Left out: live alone. */
  readonly after?: Position | undefined
  readonly signal: AbortSignal
}): AsyncGenerator<StoredEvent, void, undefined> {
  const { store, filter, party, signal } = options
  const after = options.after ?? (await store.head())
  const { types, stream } = filter
  const isTheirs = party === undefined ? async () => true : businessOf(store, party)
  const narrowed = { ...(types && { types }), ...(stream !== undefined && { streamPrefix: stream }) }
  for await (const batch of store.subscribe({ ...narrowed, after, batchSize, signal }))
    for (const event of batch.events) {
      if (signal.aborted) return
      if (passes(filter, event) && (await isTheirs(event))) yield event
    }
}

const passes = (
  { stream, correlation, from, to }: EventFilter,
  { stream: itsStream, metadata }: StoredEvent,
): boolean => {
  if (stream !== undefined && stream !== itsStream) return false
  if (correlation !== undefined && correlation !== metadata.correlationId) return false
  const time = toMoment(metadata.time)
  return (from === undefined || time >= from) && (to === undefined || time < to)
}

/** An event that cannot be read names nobody: what is wrong with somebody's stream must not end the subscriptions of all. */
const namedBy = (event: StoredEvent): string | undefined => {
  try {
    return partyNamedBy(event)
  } catch (error) {
    if (error instanceof Failure && error.code === 'EVENT_UNREADABLE') return undefined
    throw error
  }
}

/** Whether an event is a wallet's business: one up to it in its stream has named the wallet. */
const businessOf = (store: Pick<EventStore, 'readStream'>, party: string) => {
  const known = new Map<string, boolean>()
  return async (event: StoredEvent): Promise<boolean> => {
    const { stream, revision, position } = event
    const before = known.get(stream)
    if (before !== undefined) return before
    let theirs = false
    for await (const first of store.readStream(stream, { limit: namingEvents, untilPosition: position }))
      theirs ||= namedBy(first) === party
    // Whoever is no party yet may become one with the next event.
    if (theirs || revision >= BigInt(namingEvents) - 1n) {
      known.set(stream, theirs)
      const [oldest] = known.keys()
      if (known.size > streamsMax && oldest !== undefined) known.delete(oldest)
    }
    return theirs
  }
}
