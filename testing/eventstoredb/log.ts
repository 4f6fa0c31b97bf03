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
  /** Empties the cache, as a restart does. */
  readonly forgetRecent: () => void
  readonly onWritten: (listener: () => void) => () => void
}

const headerBytes = 70
/** Between events lie records of other kinds: commits, epochs, padding. */
const gapBytes = 17
const systemEventEvery = 7

export const createServerLog = (): ServerLog => {
  const records: LogRecord[] = []
  const streams = new Map<string, LogRecord[]>()
  let recent = new Map<string, LogRecord>()
  const listeners = new Set<() => void>()

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

  const check: ServerLog['check'] = (stream, expected, ids) => {
    const current = lastOf(stream)
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

  // A server has other events too: its own, another client's, a link to one of these, data that is no JSON.
  putText('$settings', '$UserUpdated', '{"loginName":"admin"}')
  putText('somebody-else', 'Ordered', '{"n":1}')
  putText('somebody-else', 'Ordered', '{"n":2}', '{"who":"grace"}')
  putText('somebody-elses-pictures', 'Scanned', '\0\u0001', '', false)
  putText('reading-list', '$>', '1@somebody-else', '{"$o":"somebody-else"}')

  let written = 0
  return {
    records,
    streamOf: (stream) => streams.get(stream) ?? [],
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
    forgetRecent: () => {
      recent = new Map()
    },
    onWritten: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
