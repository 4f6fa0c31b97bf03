import { type Bound, registerBound } from '../async/bounded.ts'
import { createSignal, unlessAborted } from '../async/signal.ts'
import type { Batch, EventStore, Filter, Position, StoredEvent, SubscribeOptions } from './port.ts'
import { isNamePrefix } from './validation.ts'

const bound = registerBound({
  name: 'window of the log',
  holds: 'What was appended last, for all subscribers of the process; one that is behind it reads for itself.',
  whenFull: 'evicts the oldest',
  entriesMax: 5_000,
  bytesMax: 8 * 1024 * 1024,
})
const batchSizeDefault = 500
/** A batch ends with the page that reaches so many bytes. */
const batchBytesMax = 8 * 1024 * 1024

/** A stretch of the log, whole. `after` is exclusive, `position` is not. */
type Page = Batch & { readonly after: Position }

/** The reading of the end of the log, and the window of what it has read last. */
type Tail = {
  readonly stop: AbortController
  /** Contiguous, the oldest first. `begin` is where the first begins, `end` is where the last ends. */
  readonly pages: Page[]
  begin: Position
  end: Position
  bytes: number
  events: number
  hasEnded: boolean
}

type Wanted = { readonly signal: AbortSignal; readonly batchMax: number; passes(event: StoredEvent): boolean }

/** Makes the subscriptions of a process share one: an event is read and parsed once, and given to those whose filter it
 *  passes. Each subscriber has a position of its own, so none holds up another or sets another back. One that is behind
 *  the window reads for itself, as it would without this, until it is inside; a slow one falls out of the window and
 *  reads for itself again. Both ways know positions alone, so nothing is missing and nothing comes twice. When the
 *  shared reading fails, all that take part read for themselves from where they are, and get their own errors; the first
 *  of them that has read something begins a new one. All else is done by the store as before.
 *  @param window bounds what is kept: an entry is an event, or a page without any. */
export const shareReader = (
  store: EventStore,
  { entriesMax = 0, bytesMax = 0 }: Pick<Bound, 'entriesMax' | 'bytesMax'> = bound,
): EventStore => {
  const moved = createSignal()
  const closing = new AbortController()
  let tail: Tail | undefined
  let starting: Promise<void> | undefined
  let subscribers = 0

  const add = (to: Tail, batch: Batch) => {
    to.pages.push({ ...batch, after: to.end })
    to.end = batch.position
    to.events += batch.events.length
    to.bytes += batch.bytes
    // Pages without events take memory too.
    while (to.events > entriesMax || to.bytes > bytesMax || to.pages.length > entriesMax) {
      const oldest = to.pages.shift()
      if (!oldest) break
      to.begin = oldest.position
      to.events -= oldest.events.length
      to.bytes -= oldest.bytes
    }
  }

  const read = async (into: Tail) => {
    try {
      for await (const batch of store.subscribe({ after: into.end, signal: into.stop.signal })) {
        add(into, batch)
        moved.notify()
      }
    } catch {
      // A subscriber meets the error where it reads for itself.
    }
    into.hasEnded = true
    if (tail === into) tail = undefined
    moved.notify()
  }

  /** Starts a tail unless one runs: those that ask at the same time start one together. */
  const ensureTail = async (): Promise<void> => {
    if (tail) return
    starting ??= store
      .head()
      .then((head) => {
        if (subscribers === 0 || closing.signal.aborted) return
        const stop = new AbortController()
        tail = { stop, pages: [], begin: head, end: head, bytes: 0, events: 0, hasEnded: false }
        void read(tail)
      })
      .catch(() => undefined)
      .finally(() => {
        starting = undefined
      })
    await starting
  }

  /** Yields what comes behind `after`, until the window has left the subscriber behind or the tail has ended. */
  async function* fromWindow(from: Tail, after: Position, wanted: Wanted): AsyncGenerator<Batch, Position> {
    const { signal } = wanted
    let at = after
    while (!signal.aborted && at >= from.begin) {
      const batch = nextBatch(from.pages, at, wanted)
      if (batch) {
        at = batch.position
        yield batch
      } else if (from.hasEnded) break
      else await moved.wait({ signal })
    }
    return at
  }

  async function* subscribe(asked: SubscribeOptions): AsyncGenerator<Batch> {
    const stopped = AbortSignal.any([asked.signal, closing.signal])
    const wanted = wantedOf({ ...asked, signal: stopped })
    let at = asked.after === undefined ? store.start : store.parsePosition(asked.after)
    const isInside = () => tail !== undefined && at >= tail.begin
    subscribers += 1
    try {
      while (!stopped.aborted) {
        // The store may not answer: one that leaves waits no longer for what it has asked together with others.
        await unlessAborted(ensureTail(), stopped)
        if (tail && isInside()) at = yield* fromWindow(tail, at, wanted)
        if (stopped.aborted) return
        const own = new AbortController()
        const signal = AbortSignal.any([stopped, own.signal])
        let hasRead = false
        for await (const batch of store.subscribe({ ...asked, after: at, signal })) {
          hasRead = true
          at = batch.position
          yield batch
          await unlessAborted(ensureTail(), stopped)
          if (isInside()) break
        }
        own.abort()
        // The store has ended the subscription: it is closed.
        if (!hasRead) return
      }
    } finally {
      subscribers -= 1
      if (subscribers === 0) {
        tail?.stop.abort()
        tail = undefined
      }
    }
  }

  return {
    ...store,
    subscribe,
    close: () => {
      closing.abort()
      tail?.stop.abort()
      return store.close()
    },
  }
}

const wantedOf = ({ types, streamPrefix, batchSize = batchSizeDefault, signal }: SubscribeOptions): Wanted => ({
  signal,
  batchMax: Math.max(1, batchSize),
  passes: passesOf({ ...(types && { types }), ...(streamPrefix && { streamPrefix }) }),
})

const passesOf = ({ types, streamPrefix }: Filter): ((event: StoredEvent) => boolean) => {
  const wanted = types && new Set(types)
  if (streamPrefix !== undefined && !isNamePrefix(streamPrefix)) return () => false
  return ({ type, stream }) =>
    (wanted === undefined || wanted.has(type)) && (streamPrefix === undefined || stream.startsWith(streamPrefix))
}

/** Returns what follows after a position in the pages: all of it, or as much as a batch may have. Undefined when nothing
 *  follows. */
const nextBatch = (pages: readonly Page[], after: Position, { batchMax, passes }: Wanted): Batch | undefined => {
  let first = pages.length
  while (first > 0 && (pages[first - 1]?.position ?? after) > after) first -= 1
  const events: StoredEvent[] = []
  let position: Position | undefined
  let bytes = 0
  for (const page of pages.slice(first)) {
    for (const event of page.events) {
      if (event.position <= after || !passes(event)) continue
      if (events.length === batchMax) return { events, position: events.at(-1)?.position ?? after, bytes }
      events.push(event)
      bytes += page.bytes / page.events.length
    }
    position = page.position
    if (bytes >= batchBytesMax) break
  }
  return position === undefined ? undefined : { events, position, bytes: Math.round(bytes) }
}
