import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { decodeStored, type Projection, rowsAsOf } from './projection.ts'
import type { AnyRow } from './table.ts'

const batchSize = 100
/** The most rows that one subscription caches; a row that was evicted is folded again from its stream. */
const rowsMax = 1_000

/** `type` is the type of the event, or `Snapshot` for the row at the beginning of the subscription. A subscription that
 *  resumes after `position` yields what follows this update. */
export type Update<Row> = { readonly position: Position; readonly type: string; readonly row: Row }

/** Yields the changes of a read model straight from the log: each update carries the row as of its event. With `after`,
 *  first those since that position, then live ones. Without `after`, first the current rows of the given stream, then
 *  live changes; without a stream too, live changes alone. Reads at the pace of the caller. Ends when the signal
 *  aborts; throws what the store throws, and EVENT_UNREADABLE.
 *  @param stream yields only changes by events of this stream. */
export async function* updates<Row extends AnyRow>(options: {
  readonly store: Pick<EventStore, 'subscribe' | 'readStream' | 'head'>
  readonly projection: Projection<Row>
  readonly after?: Position | undefined
  readonly stream?: string | undefined
  readonly matches?: ((row: Row) => boolean) | undefined
  readonly signal: AbortSignal
}): AsyncGenerator<Update<Row>, void, undefined> {
  const { store, projection, stream, matches = () => true, signal } = options
  const after = options.after ?? (await store.head())
  const cache = createCache<Row | undefined>(rowsMax)
  if (options.after === undefined && stream !== undefined) {
    const rows = await rowsAsOf({ store, projection, stream, untilPosition: after })
    for (const [key, row] of rows) {
      cache.set(key, row)
      if (matches(row)) yield { position: after, type: 'Snapshot', row }
    }
  }
  const filter = { types: projection.types, ...(stream !== undefined && { streamPrefix: stream }) }
  for await (const batch of store.subscribe({ ...filter, after, batchSize, signal }))
    for (const stored of batch.events) {
      if (signal.aborted) return
      if (stream !== undefined && stored.stream !== stream) continue
      const row = await rowAt(store, projection, cache, stored)
      if (row?.position === stored.position && matches(row)) yield { position: stored.position, type: stored.type, row }
    }
}

/** Resolves to the row that the event belongs to, as of the event. */
const rowAt = async <Row extends AnyRow>(
  store: Pick<EventStore, 'readStream'>,
  projection: Projection<Row>,
  cache: Cache<Row | undefined>,
  stored: StoredEvent,
): Promise<Row | undefined> => {
  const { event, metadata } = decodeStored(stored)
  const key = projection.key(event, metadata)
  if (key === undefined) return undefined
  const row = cache.has(key)
    ? projection.fold(cache.get(key), event, metadata, key)
    : (await rowsAsOf({ store, projection, stream: stored.stream, untilPosition: stored.position })).get(key)
  cache.set(key, row)
  return row
}

type Cache<Value> = {
  has(key: string): boolean
  get(key: string): Value | undefined
  set(key: string, value: Value): void
}

/** Creates a cache that evicts the least recently written entry. */
const createCache = <Value>(sizeMax: number): Cache<Value> => {
  const values = new Map<string, Value>()
  return {
    has: (key) => values.has(key),
    get: (key) => values.get(key),
    set: (key, value) => {
      values.delete(key)
      values.set(key, value)
      const [oldest] = values.keys()
      if (values.size > sizeMax && oldest !== undefined) values.delete(oldest)
    },
  }
}
