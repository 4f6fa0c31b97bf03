/** A record of the server's log. `position` is where it begins, in bytes; `end` where the next one may. */
export type LogRecord = {
  readonly position: bigint
  readonly end: bigint
  readonly stream: string
  readonly revision: bigint
  readonly id: string
  readonly type: string
  readonly isJson: boolean
  readonly data: Buffer
  readonly metadata: Buffer
  readonly createdMs: number
}

export type Proposed = Pick<LogRecord, 'id' | 'type' | 'isJson' | 'data' | 'metadata'>

/** -1 stands for "no stream", as in the server. */
export type Expected = bigint | 'any' | 'stream exists'

/** `not replicated yet`: it was written before, and the followers do not have it yet: the server drops it. */
export type CommitCheck =
  | { readonly decision: 'ok' | 'deleted' | 'not replicated yet' }
  | { readonly decision: 'wrong version'; readonly current: bigint }
  | { readonly decision: 'idempotent'; readonly last: LogRecord }

/** What the nodes of one cluster share, and what survives a restart. */
export type ServerLog = {
  /** What the followers have: only this is read. */
  readonly records: readonly LogRecord[]
  readonly streamOf: (stream: string) => readonly LogRecord[]
  readonly isReadable: (record: LogRecord) => boolean
  /** Decides as the server's IndexWriter.CheckCommit does: certain where the expected revision lies below the last one,
   *  by a cache of what was written lately where none is expected, and not at all where the expected one is the
   *  last. What is not replicated yet counts as well. */
  readonly check: (stream: string, expected: Expected, ids: readonly string[]) => CommitCheck
  /** Writes events, which are not replicated yet, and returns the last. */
  readonly write: (stream: string, events: readonly Proposed[]) => LogRecord
  /** Replicates all up to a record. Returns false for a record that was lost. */
  readonly replicate: (record: LogRecord) => boolean
  readonly replicateAll: () => void
  /** Truncates what is not replicated, as a former leader does. */
  readonly loseUnreplicated: () => void
  /** The index of the first record that begins at a position or beyond it. */
  readonly indexAt: (position: bigint) => number
  /** Truncates a stream as an operator does: what lies before a revision is read no more. `all` deletes the stream;
   *  the next write to it has the next revision. */
  readonly truncate: (stream: string, before: bigint | 'all') => void
  /** Deletes a stream forever. */
  readonly tombstone: (stream: string) => void
  readonly isTombstoned: (stream: string) => boolean
  /** Has all events that a stream has expire, as `$maxAge` does: the stream is there, and is read without them. */
  readonly expire: (stream: string) => void
  readonly isExpired: (stream: string) => boolean
  /** Removes the events of streams that were deleted forever, also from $all. */
  readonly scavenge: () => void
  /** Empties the cache, as a restart does. */
  readonly forgetRecent: () => void
  readonly onWritten: (listener: () => void) => () => void
}

const headerBytes = 70
/** Between events lie records of other kinds: commits, epochs, padding. */
const gapBytes = 17
const systemEventEvery = 7
const revisionOfTombstone = 2n ** 63n - 1n
const nothing = Buffer.alloc(0)

/** Returns the index of the first record that begins at a position or beyond it. */
const indexIn = (records: readonly LogRecord[], position: bigint): number => {
  let [low, high] = [0, records.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((records[middle]?.position ?? 0n) < position) low = middle + 1
    else high = middle
  }
  return low
}

/** Creates a log with the events that every server has.
 *  @param backup the records of another one, as an operator puts them back. */
export const createServerLog = (backup: readonly LogRecord[] = []): ServerLog => {
  let written: LogRecord[] = [...backup]
  const records: LogRecord[] = [...backup]
  const streams = new Map<string, LogRecord[]>()
  let recent = new Map<string, LogRecord>()
  const listeners = new Set<() => void>()
  const firstLeft = new Map<string, bigint>()
  const tombstoned = new Set<string>()
  const expired = new Map<string, bigint>()

  const put = (stream: string, { id, type, isJson, data, metadata }: Proposed, revision?: bigint): LogRecord => {
    const position = (written.at(-1)?.end ?? 0n) + BigInt(gapBytes)
    const size = headerBytes + 2 * (stream.length + type.length) + data.length + metadata.length
    const others = streams.get(stream) ?? []
    streams.set(stream, others)
    const record = {
      position,
      end: position + BigInt(size),
      stream,
      revision: revision ?? BigInt(others.length),
      id,
      type,
      isJson,
      data,
      metadata,
      createdMs: Date.now(),
    }
    others.push(record)
    written.push(record)
    recent.set(id, record)
    return record
  }

  const replicate = (last: LogRecord | undefined): boolean => {
    if (!last || written[indexIn(written, last.position)] !== last) return false
    const before = records.length
    for (let next = written[before]; next; next = written[records.length]) {
      // With an event goes what the server wrote after it by itself.
      if (next.position > last.position && !next.stream.startsWith('$')) break
      records.push(next)
    }
    if (records.length > before) for (const listener of [...listeners]) listener()
    return true
  }
  const replicateAll = () => void replicate(written.at(-1))
  const isReplicated = ({ position }: LogRecord) => position <= (records.at(-1)?.position ?? -1n)

  const putText = (stream: string, type: string, data: string, metadata = '', isJson = true) =>
    put(stream, {
      id: crypto.randomUUID(),
      type,
      isJson,
      data: Buffer.from(data),
      metadata: Buffer.from(metadata),
    })

  const lastOf = (stream: string) => BigInt((streams.get(stream)?.length ?? 0) - 1)

  const isDeleted = (stream: string) => (firstLeft.get(stream) ?? 0n) > lastOf(stream)
  const isReadable = (record: LogRecord) =>
    isReplicated(record) &&
    !tombstoned.has(record.stream) &&
    record.revision > (expired.get(record.stream) ?? -1n) &&
    record.revision >= (firstLeft.get(record.stream) ?? 0n)

  const check: ServerLog['check'] = (stream, expected, ids) => {
    if (tombstoned.has(stream)) return { decision: 'deleted' }
    const current = lastOf(stream)
    if (expected === 'stream exists' && current >= 0n && isDeleted(stream)) return { decision: 'deleted' }
    // An append that expects no stream takes a deleted one for that, and goes on where it ended.
    if (expected === -1n && current >= 0n && isDeleted(stream)) return { decision: 'ok' }
    const wrong = { decision: 'wrong version', current } as const
    if (expected === 'stream exists' && current < 0n) return wrong
    const known =
      expected === 'any' || expected === 'stream exists'
        ? ids.map((id) => recent.get(id)).map((record) => (record?.stream === stream ? record : undefined))
        : expected < current
          ? ids.map((id, index) => {
              const there = streams.get(stream)?.[Number(expected) + 1 + index]
              return there?.id === id ? there : undefined
            })
          : []
    const missing = known.indexOf(undefined)
    const last = known.at(-1)
    if (last && missing < 0)
      return isReplicated(last) ? { decision: 'idempotent', last } : { decision: 'not replicated yet' }
    if (typeof expected === 'bigint') return expected === current ? { decision: 'ok' } : wrong
    return missing > 0 ? wrong : { decision: 'ok' }
  }

  for (const record of backup) streams.set(record.stream, [...(streams.get(record.stream) ?? []), record])
  // A server has other events too: its own, another client's, a link to one of these, data that is no JSON.
  if (backup.length === 0) {
    putText('$settings', '$UserUpdated', '{"loginName":"admin"}')
    putText('somebody-else', 'Ordered', '{"n":1}')
    putText('somebody-else', 'Ordered', '{"n":2}', '{"who":"grace"}')
    putText('somebody-elses-pictures', 'Scanned', '\0\u0001', '', false)
    putText('reading-list', '$>', '1@somebody-else', '{"$o":"somebody-else"}')
    replicateAll()
  }

  let writes = 0
  return {
    records,
    streamOf: (stream) => (streams.get(stream) ?? []).filter(isReadable),
    isReadable,
    check,
    replicate,
    replicateAll,
    loseUnreplicated: () => {
      for (const record of written.slice(records.length)) {
        streams.get(record.stream)?.pop()
        recent.delete(record.id)
      }
      written = [...records]
    },
    write: (stream, events) => {
      const first = firstLeft.get(stream)
      const wasDeleted = first !== undefined && isDeleted(stream)
      const all = events.map((event) => put(stream, event))
      const last = all.at(-1)
      if (!last) throw new Error('An append holds an event.')
      const { $tb } = last.type === '$metadata' ? JSON.parse(last.data.toString('utf8')) : {}
      if ($tb !== undefined) firstLeft.set(stream.slice(2), BigInt($tb))
      // A deleted stream goes on where it ended.
      if (wasDeleted) putText(`$$${stream}`, '$metadata', `{"$tb":${first}}`)
      // What the running server adds by itself: its figures, and the streams of its projection by category.
      if (writes % systemEventEvery === 0) {
        putText('$stats-127.0.0.1:2113', '$statsCollected', '{"proc-cpu":0.1}')
        putText(`$ce-${stream.split('-')[0]}`, '$>', `${last.revision}@${stream}`)
      }
      if (writes % (3 * systemEventEvery) === 0 && first === undefined)
        putText(`$$${stream}`, '$metadata', '{"$cacheControl":10}')
      writes += 1
      return last
    },
    indexAt: (position) => indexIn(records, position),
    truncate: (stream, before) => {
      const first = before === 'all' ? lastOf(stream) + 1n : before
      firstLeft.set(stream, first)
      putText(`$$${stream}`, '$metadata', `{"$tb":${before === 'all' ? revisionOfTombstone : first}}`)
      replicateAll()
    },
    tombstone: (stream) => {
      tombstoned.add(stream)
      const event = { id: crypto.randomUUID(), type: '$streamDeleted', isJson: false, data: nothing, metadata: nothing }
      put(stream, event, revisionOfTombstone)
      replicateAll()
    },
    isTombstoned: (stream) => tombstoned.has(stream),
    expire: (stream) => {
      expired.set(stream, lastOf(stream))
      putText(`$$${stream}`, '$metadata', '{"$maxAge":1}')
      replicateAll()
    },
    isExpired: (stream) => expired.has(stream),
    scavenge: () => {
      const isKept = ({ stream, type }: LogRecord) => !tombstoned.has(stream) || type === '$streamDeleted'
      written = written.filter(isKept)
      records.splice(0, records.length, ...records.filter(isKept))
    },
    forgetRecent: () => {
      recent = new Map()
    },
    onWritten: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
