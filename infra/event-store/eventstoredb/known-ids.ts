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

/** The cache holds at most this many ids, of the streams used last. */
const idsMax = 400_000
/** The cache holds at most this many ids of one stream, the newest: an append is compared with so many. */
export const idsPerStreamMax = 100_000

type Entry = { from: bigint; through: bigint; readonly revisionOf: Map<string, bigint> }

/** Creates an empty cache of event ids; it evicts the least recently used streams. */
export const createKnownIds = (limits = { idsMax, idsPerStreamMax }): KnownIds => {
  /** In order of use, the most recent at the end. */
  const entries = new Map<string, Entry>()
  let count = 0

  const evict = (stream: string, entry: Entry) => {
    entries.delete(stream)
    count -= entry.revisionOf.size
  }

  const touch = (stream: string): Entry | undefined => {
    const entry = entries.get(stream)
    if (entry) {
      entries.delete(stream)
      entries.set(stream, entry)
    }
    return entry
  }

  const trim = (entry: Entry) => {
    for (const [id, revision] of entry.revisionOf) {
      if (entry.revisionOf.size <= limits.idsPerStreamMax) return
      entry.revisionOf.delete(id)
      entry.from = revision + 1n
      count -= 1
    }
  }

  const extend = (entry: Entry, events: readonly StoredId[]) => {
    for (const { id, revision } of events) {
      if (revision !== entry.through + 1n) continue
      entry.through = revision
      // Another writer may have stored the id a second time: the first revision counts.
      if (entry.revisionOf.has(id)) continue
      entry.revisionOf.set(id, revision)
      count += 1
    }
    trim(entry)
    for (const [stream, other] of entries) {
      if (count <= limits.idsMax || other === entry) break
      evict(stream, other)
    }
  }

  const begin: KnownIds['begin'] = (stream, newest) => {
    const [first] = newest
    if (!first) return
    const entry = touch(stream) ?? { from: first.revision, through: first.revision - 1n, revisionOf: new Map() }
    entries.set(stream, entry)
    extend(entry, newest)
  }

  return {
    get: touch,
    begin,
    add: (stream, events) => {
      const entry = touch(stream)
      if (entry) extend(entry, events)
      else if (events[0]?.revision === 0n) begin(stream, events)
    },
  }
}
