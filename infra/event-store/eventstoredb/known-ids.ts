import { createBoundedMap, registerBound } from '../../async/bounded.ts'

/** The event ids of one stream, without a gap from `from` to `through`. */
export type StreamIds = {
  readonly from: bigint
  /** The last revision of the stream when it was last read. */
  readonly through: bigint
  readonly revisionOf: ReadonlyMap<string, bigint>
}

type StoredId = { readonly revision: bigint; readonly id: string }

/** A cache of the event ids in each stream, from the events that this process has read or written. The server
 *  compares ids only at the revision that an append expects, the port in the whole stream. Reads and writes fill the
 *  cache, so it needs no reads of its own. */
export type KnownIds = {
  get(stream: string): StreamIds | undefined
  /** Adds events that were read or written, in order of revision. Events beyond a gap are left out. */
  add(stream: string, events: readonly StoredId[]): void
  /** Adds the newest events of a stream that is not in the cache. Older ids of this stream count as unknown. */
  begin(stream: string, newest: readonly StoredId[]): void
}

/** About what an id takes in memory, and a stream besides. */
const idBytes = 100
const streamBytes = 1_200
/** Of a stream, at most so many ids are kept, the newest: an append is compared with so many. */
export const idsPerStreamMax = 100_000

const bound = registerBound({
  name: 'known event ids',
  holds: 'With EventStoreDB, the event ids of the streams used last, which tell a repeated append.',
  whenFull: 'evicts the least recently used',
  bytesMax: 400_000 * idBytes,
})

type Entry = { from: bigint; through: bigint; readonly revisionOf: Map<string, bigint> }

/** Creates an empty cache of event ids; it evicts the least recently used streams. */
export const createKnownIds = (
  limits: { readonly bytesMax?: number; readonly idsPerStreamMax?: number } = {},
): KnownIds => {
  const { bytesMax, idsPerStreamMax: ofStreamMax = idsPerStreamMax } = limits
  const entries = createBoundedMap<Entry>(bound, bytesMax === undefined ? undefined : { bytesMax })

  const trim = (entry: Entry) => {
    for (const [id, revision] of entry.revisionOf) {
      if (entry.revisionOf.size <= ofStreamMax) return
      entry.revisionOf.delete(id)
      entry.from = revision + 1n
    }
  }

  const extend = (stream: string, entry: Entry, events: readonly StoredId[]) => {
    for (const { id, revision } of events) {
      if (revision !== entry.through + 1n) continue
      entry.through = revision
      // Another writer may have stored the id a second time: the first revision counts.
      if (entry.revisionOf.has(id)) continue
      entry.revisionOf.set(id, revision)
    }
    trim(entry)
    entries.set(stream, entry, streamBytes + entry.revisionOf.size * idBytes)
  }

  const begin: KnownIds['begin'] = (stream, newest) => {
    const [first] = newest
    if (!first) return
    const began: Entry = { from: first.revision, through: first.revision - 1n, revisionOf: new Map() }
    extend(stream, entries.get(stream) ?? began, newest)
  }

  return {
    get: entries.get,
    begin,
    add: (stream, events) => {
      const entry = entries.get(stream)
      if (entry) extend(stream, entry, events)
      else if (events[0]?.revision === 0n) begin(stream, events)
    },
  }
}
