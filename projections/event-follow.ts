import { isFailure } from '../domain/errors.ts'
import { createBoundedMap, registerBound } from '../infra/async/bounded.ts'
import type { EventStore, Position, StoredEvent } from '../infra/event-store/port.ts'
import { atOnce, type CatchUp, inPieces } from './engine/catch-up.ts'
import { toMoment } from './engine/table.ts'
import type { EventFilter } from './event-list.ts'
import { namingEvents, partyNamedBy } from './events.ts'

const batchSize = 100
const bound = registerBound({
  name: 'parties of streams',
  holds:
    'For each subscription to the events of a wallet: in which streams the wallet is a party. Others are read again.',
  whenFull: 'evicts the oldest',
  entriesMax: 10_000,
})

/** Yields events straight from the log: first those after a position, then live ones. With `party`, yields only events
 *  of streams that name this wallet as a party by then. That includes streams created after the subscription began.
 *  Reads at the pace of the caller. Ends when the signal aborts; throws what the store throws. */
export async function* followEvents(options: {
  readonly store: Pick<EventStore, 'subscribe' | 'readStream' | 'head'>
  readonly filter: EventFilter
  readonly party?: string | undefined
  /** The position after which to begin; without it, only live events are yielded. */
  readonly after?: Position | undefined
  /** Runs the pieces of what is not live: at once, by default. */
  readonly catchUp?: CatchUp | undefined
  readonly signal: AbortSignal
}): AsyncGenerator<StoredEvent, void, undefined> {
  const { store, filter, party, catchUp = atOnce, signal } = options
  const after = options.after ?? (await store.head())
  const { types, stream } = filter
  const concernsParty = party === undefined ? async () => true : partyCheckOf(store, party)
  const narrowed = { ...(types && { types }), ...(stream !== undefined && { streamPrefix: stream }) }
  for await (const { batch, run } of inPieces(store, {
    ...narrowed,
    after,
    batchSize,
    signal,
    catchUp: options.after ? catchUp : atOnce,
  })) {
    const found = await run(async () => {
      const events: StoredEvent[] = []
      for (const event of batch.events)
        if (!signal.aborted && passes(filter, event) && (await concernsParty(event))) events.push(event)
      return events
    })
    for (const event of found) {
      if (signal.aborted) return
      yield event
    }
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

/** Returns the wallet that an event names as a party. An unreadable event names none: a fault in one stream must not
 *  end all subscriptions. */
const namedBy = (event: StoredEvent): string | undefined => {
  try {
    return partyNamedBy(event)
  } catch (error) {
    if (isFailure(error, 'EVENT_UNREADABLE')) return undefined
    throw error
  }
}

/** Returns a check whether the wallet is a party of an event: that event or an earlier one of its stream names the
 *  wallet. */
const partyCheckOf = (store: Pick<EventStore, 'readStream'>, party: string) => {
  const cache = createBoundedMap<boolean>(bound)
  return async (event: StoredEvent): Promise<boolean> => {
    const { stream, revision, position } = event
    const cached = cache.get(stream)
    if (cached !== undefined) return cached
    let isParty = false
    for await (const first of store.readStream(stream, { limit: namingEvents, untilPosition: position }))
      isParty ||= namedBy(first) === party
    // Before these events, a wallet that is no party may still become one with the next event.
    if (isParty || revision >= BigInt(namingEvents) - 1n) {
      cache.set(stream, isParty)
    }
    return isParty
  }
}
