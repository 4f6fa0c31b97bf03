/** The event ids of one stream, without a gap from `from` to `through`. */
export type StreamIds = {
  readonly from: bigint
  /** The last revision of the stream when it was looked at last. */
  readonly through: bigint
  readonly revisionOf: ReadonlyMap<string, bigint>
}

type Seen = { readonly revision: bigint; readonly id: string }

/** Which event ids a stream holds, as far as this process has seen: the server asks for that only at the revision that an append
 *  expects, and the port for the whole stream. Fed by what is read and written anyway, so that it costs no reading. */
export type KnownIds = {
  get(stream: string): StreamIds | undefined
  /** Takes what was read or written, in order of revision. What does not join on to what is known is left out. */
  add(stream: string, events: readonly Seen[]): void
  /** Takes the newest of a stream of which nothing was known. What is older counts as unknown to it. */
  begin(stream: string, newest: readonly Seen[]): void
}

/** Keeps at most this many ids, the streams used last. */
const idsMax = 400_000
/** Of one stream, the newest; an append is compared with so many. */
export const idsPerStreamMax = 100_000

type Entry = { from: bigint; through: bigint; readonly revisionOf: Map<string, bigint> }

export const createKnownIds = (limits = { idsMax, idsPerStreamMax }): KnownIds => {
  /** In order of use, the last at the end. */
  const entries = new Map<string, Entry>()
  let count = 0

  const forget = (stream: string, entry: Entry) => {
    entries.delete(stream)
    count -= entry.revisionOf.size
  }

  const used = (stream: string): Entry | undefined => {
    const entry = entries.get(stream)
    if (entry) {
      entries.delete(stream)
      entries.set(stream, entry)
    }
    return entry
  }

  const shrink = (entry: Entry) => {
    for (const [id, revision] of entry.revisionOf) {
      if (entry.revisionOf.size <= limits.idsPerStreamMax) return
      entry.revisionOf.delete(id)
      entry.from = revision + 1n
      count -= 1
    }
  }

  const extend = (entry: Entry, events: readonly Seen[]) => {
    for (const { id, revision } of events) {
      if (revision !== entry.through + 1n) continue
      entry.through = revision
      // A second one with this id, of another writer, does not hide the first.
      if (entry.revisionOf.has(id)) continue
      entry.revisionOf.set(id, revision)
      count += 1
    }
    shrink(entry)
    for (const [stream, other] of entries) {
      if (count <= limits.idsMax || other === entry) break
      forget(stream, other)
    }
  }

  const begin: KnownIds['begin'] = (stream, newest) => {
    const [first] = newest
    if (!first) return
    const entry = used(stream) ?? { from: first.revision, through: first.revision - 1n, revisionOf: new Map() }
    entries.set(stream, entry)
    extend(entry, newest)
  }

  return {
    get: used,
    begin,
    add: (stream, events) => {
      const entry = used(stream)
      if (entry) extend(entry, events)
      else if (events[0]?.revision === 0n) begin(stream, events)
    },
  }
}
