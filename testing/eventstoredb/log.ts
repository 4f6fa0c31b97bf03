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

export type CommitCheck =
  | { readonly decision: 'ok' }
  | { readonly decision: 'wrong version'; readonly current: bigint }
  | { readonly decision: 'idempotent'; readonly last: LogRecord }

/** What the nodes of one cluster share, and what survives a restart. */
export type ServerLog = {
  readonly records: readonly LogRecord[]
  readonly streamOf: (stream: string) => readonly LogRecord[]
  /** Decides as the server's IndexWriter.CheckCommit does: certain where the expected revision lies below the last one,
   *  by a cache of what was written lately where none is expected, and not at all where the expected one is the
   *  last. */
  readonly check: (stream: string, expected: Expected, ids: readonly string[]) => CommitCheck
  readonly write: (stream: string, events: readonly Proposed[]) => LogRecord
  /** The index of the first record that ends beyond a position. */
  readonly indexAt: (position: bigint) => number
  /** Truncates a stream as an operator does: what lies before a revision is read no more. `all` deletes the stream;
   *  the next write to it has the next revision. */
  readonly truncate: (stream: string, before: bigint | 'all') => void
  /** Deletes a stream forever. */
  readonly tombstone: (stream: string) => void
  readonly isTombstoned: (stream: string) => boolean
  /** Empties the cache, as a restart does. */
  readonly forgetRecent: () => void
  readonly onWritten: (listener: () => void) => () => void
}

const headerBytes = 70
/** Between events lie records of other kinds: commits, epochs, padding. */
const gapBytes = 17
const systemEventEvery = 7

/** Creates a log with the events that every server has.
 *  @param backup the records of another one, as an operator puts them back. */
export const createServerLog = (backup: readonly LogRecord[] = []): ServerLog => {
  const records: LogRecord[] = [...backup]
  const streams = new Map<string, LogRecord[]>()
  let recent = new Map<string, LogRecord>()
  const listeners = new Set<() => void>()
  const firstLeft = new Map<string, bigint>()
  const tombstoned = new Set<string>()

  const put = (stream: string, { id, type, isJson, data, metadata }: Proposed): LogRecord => {
    const position = (records.at(-1)?.end ?? 0n) + BigInt(gapBytes)
    const size = headerBytes + 2 * (stream.length + type.length) + data.length + metadata.length
    const others = streams.get(stream) ?? []
    streams.set(stream, others)
    const record = {
      position,
      end: position + BigInt(size),
      stream,
      revision: BigInt(others.length),
      id,
      type,
      isJson,
      data,
      metadata,
      createdMs: Date.now(),
    }
    others.push(record)
    records.push(record)
    recent.set(id, record)
    return record
  }

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
  const readable = (stream: string) => {
    const first = firstLeft.get(stream) ?? 0n
    return (streams.get(stream) ?? []).filter(({ revision }) => revision >= first)
  }

  const check: ServerLog['check'] = (stream, expected, ids) => {
    const current = lastOf(stream)
    // An append that expects no stream takes a deleted one for that, and goes on where it ended.
    if (expected === -1n && current >= 0n && isDeleted(stream)) return { decision: 'ok' }
    const wrong = { decision: 'wrong version', current } as const
    if (expected === 'stream exists' && current < 0n) return wrong
    const written =
      expected === 'any' || expected === 'stream exists'
        ? ids.map((id) => recent.get(id)).map((record) => (record?.stream === stream ? record : undefined))
        : expected < current
          ? ids.map((id, index) => {
              const there = streams.get(stream)?.[Number(expected) + 1 + index]
              return there?.id === id ? there : undefined
            })
          : []
    const missing = written.indexOf(undefined)
    const last = written.at(-1)
    if (last && missing < 0) return { decision: 'idempotent', last }
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
  }

  let written = 0
  return {
    records,
    streamOf: readable,
    check,
    write: (stream, events) => {
      const all = events.map((event) => put(stream, event))
      const last = all.at(-1)
      if (!last) throw new Error('An append holds an event.')
      // What the running server adds by itself: its figures, and the streams of its projection by category.
      if (written % systemEventEvery === 0) {
        putText('$stats-127.0.0.1:2113', '$statsCollected', '{"proc-cpu":0.1}')
        putText(`$ce-${stream.split('-')[0]}`, '$>', `${last.revision}@${stream}`)
      }
      if (written % (3 * systemEventEvery) === 0) putText(`$$${stream}`, '$metadata', '{"$cacheControl":10}')
      written += 1
      for (const listener of [...listeners]) listener()
      return last
    },
    indexAt: (position) => {
      let [low, high] = [0, records.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if ((records[middle]?.position ?? 0n) < position) low = middle + 1
        else high = middle
      }
      return low
    },
    truncate: (stream, before) => {
      const first = before === 'all' ? lastOf(stream) + 1n : before
      firstLeft.set(stream, first)
      putText(`$$${stream}`, '$metadata', `{"$tb":${before === 'all' ? '9223372036854775807' : first}}`)
    },
    tombstone: (stream) => void tombstoned.add(stream),
    isTombstoned: (stream) => tombstoned.has(stream),
    forgetRecent: () => {
      recent = new Map()
    },
    onWritten: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
