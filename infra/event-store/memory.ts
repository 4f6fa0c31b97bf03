import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { Failure } from '../../domain/errors.ts'
import { createSignal } from '../async/signal.ts'
import type {
  AllRange,
  Appended,
  AppendToManyOutcome,
  Batch,
  Capabilities,
  Conflict,
  EventStore,
  Filter,
  IdProblem,
  Json,
  Metadata,
  StoredEvent,
  StreamRange,
  SubscribeOptions,
} from './port.ts'
import { positionsOf } from './position.ts'
import { type CheckedAppend, checkAppends, isNamePrefix, isUtcTime } from './validation.ts'

/** A batch ends with the event that reaches so many bytes. */
const batchBytesMax = 8 * 1024 * 1024

export const memoryCapabilities: Capabilities = {
  appendToMany: true,
  idsKnownWithin: 'log',
  durable: false,
  sizesSetBy: 'port',
  distanceIn: 'events',
}

/** Data and metadata are stored as text, so that changing a returned object does not change history. */
type Row = {
  readonly number: bigint
  readonly stream: string
  readonly revision: bigint
  readonly id: string
  readonly type: string
  readonly data: string
  readonly metadata: string
  readonly timeMs: number
}

/** The result of looking up the event ids of an append: `last` is its last row when the append is a repetition. */
type IdLookup = 'unknown' | IdProblem | { readonly last: Row }

const passes = ({ types, streamPrefix }: Filter, row: Row): boolean =>
  (types === undefined || types.includes(row.type)) &&
  (streamPrefix === undefined || (isNamePrefix(streamPrefix) && row.stream.startsWith(streamPrefix)))

/** Creates an event store in the memory of this process, for pure tests. It fulfils the same contract as the other
 *  engines.
 *  @param id distinguishes its positions from those of another store; random by default.
 *  @param idsKnownWithin makes it the model of an engine whose event ids are unique within a stream only. */
export const createMemoryEventStore = ({
  id = randomUUID().slice(0, 8),
  idsKnownWithin = 'log',
}: {
  readonly id?: string
  readonly idsKnownWithin?: Capabilities['idsKnownWithin']
} = {}): EventStore => {
  const positions = positionsOf(`memory-${id}`)
  const log: Row[] = []
  const streams = new Map<string, Row[]>()
  const byId = new Map<string, Row>()
  const headMoved = createSignal()
  let closed = false

  const headNumber = () => BigInt(log.length)
  const lastRevision = (stream: string): bigint | undefined => streams.get(stream)?.at(-1)?.revision

  const idKey = (stream: string, id: string) => (idsKnownWithin === 'log' ? id : `${id} ${stream}`)

  const lookUpIds = ({ stream, events }: CheckedAppend): IdLookup => {
    const rows = events.map((event) => byId.get(idKey(stream, event.id))).filter((row) => row !== undefined)
    const [first] = rows
    const last = rows.at(-1)
    if (first === undefined || last === undefined) return 'unknown'
    if (rows.length < events.length) return 'partly known'
    if (rows.some((row, index) => row.stream !== stream || row.revision !== first.revision + BigInt(index)))
      return 'known elsewhere'
    const same = events.every(({ type, data }, index) => {
      const row = rows[index]
      return row?.type === type && isDeepStrictEqual(JSON.parse(row.data), JSON.parse(data))
    })
    return same ? { last } : 'other content'
  }

  const conflictOf = ({ stream, expected }: CheckedAppend): Conflict | undefined => {
    const actual = lastRevision(stream)
    const matches =
      expected === 'any' ||
      (expected === 'stream exists' && actual !== undefined) ||
      (expected === 'no stream' && actual === undefined) ||
      expected === actual
    return matches ? undefined : { outcome: 'conflict', stream, actual }
  }

  const toAppended = (row: Row, repeated: boolean): Appended => ({
    outcome: 'appended',
    revision: row.revision,
    position: positions.of(row.number),
    repeated,
  })

  const write = ({ stream, events }: CheckedAppend): Appended => {
    const rows = streams.get(stream) ?? []
    streams.set(stream, rows)
    const written = events.map((event): Row => {
      const { time } = JSON.parse(event.metadata) as Metadata
      const number = headNumber() + 1n
      const row = { ...event, stream, revision: BigInt(rows.length), number, timeMs: Date.parse(time) }
      rows.push(row)
      log.push(row)
      byId.set(idKey(stream, row.id), row)
      return row
    })
    return toAppended(written.at(-1) as Row, false)
  }

  const appendAll = (checked: readonly CheckedAppend[]): AppendToManyOutcome => {
    if (closed) throw new Failure('DATABASE_UNAVAILABLE', { reason: 'the event store is closed' })
    const verdicts = checked.map(lookUpIds)
    if (verdicts.some((verdict) => verdict !== 'unknown')) {
      const repeated: Appended[] = []
      for (const [index, { stream }] of checked.entries()) {
        const verdict = verdicts[index] ?? 'unknown'
        if (typeof verdict === 'string')
          return { outcome: 'ids known', stream, problem: verdict === 'unknown' ? 'partly known' : verdict }
        repeated.push(toAppended(verdict.last, true))
      }
      return repeated
    }
    for (const append of checked) {
      const conflict = conflictOf(append)
      if (conflict) return conflict
    }
    const appended = checked.map(write)
    headMoved.notify()
    return appended
  }

  const toEvent = (row: Row): StoredEvent => ({
    id: row.id,
    type: row.type,
    data: JSON.parse(row.data) as Json,
    metadata: JSON.parse(row.metadata) as Metadata,
    stream: row.stream,
    revision: row.revision,
    position: positions.of(row.number),
  })

  const rowsUntil = (rows: readonly Row[], { untilTime, untilPosition }: StreamRange): readonly Row[] => {
    if (untilTime !== undefined && !isUtcTime(untilTime)) throw new Failure('INPUT_INVALID', { untilTime })
    const last = untilPosition === undefined ? headNumber() : positions.numberOf(untilPosition)
    const timeMs = untilTime === undefined ? Infinity : Date.parse(untilTime)
    const end = rows.findIndex((row) => row.number > last || row.timeMs > timeMs)
    return end === -1 ? rows : rows.slice(0, end)
  }

  async function* readStream(stream: string, range: StreamRange = {}): AsyncGenerator<StoredEvent> {
    const rows = [...rowsUntil(streams.get(stream) ?? [], range)]
    const backwards = range.direction === 'backwards'
    const { from } = range
    const selected = (backwards ? rows.reverse() : rows).filter(
      ({ revision }) => from === undefined || (backwards ? revision <= from : revision >= from),
    )
    for (const row of selected.slice(0, Math.max(0, range.limit ?? Infinity))) yield toEvent(row)
  }

  async function* readAll(range: AllRange = {}): AsyncGenerator<StoredEvent> {
    const after = range.after === undefined ? undefined : positions.numberOf(range.after)
    const end = log.length
    let remaining = range.limit ?? Infinity
    const backwards = range.direction === 'backwards'
    const start = backwards ? Math.min(end, after === undefined ? end : Number(after) - 1) - 1 : Number(after ?? 0n)
    for (let index = start; remaining > 0 && index >= 0 && index < end; index += backwards ? -1 : 1) {
      const row = log[index]
      if (row === undefined || !passes(range, row)) continue
      remaining -= 1
      yield toEvent(row)
    }
  }

  async function* subscribe({ signal, batchSize = 500, ...options }: SubscribeOptions): AsyncGenerator<Batch> {
    let after = Number(options.after === undefined ? 0n : positions.numberOf(options.after))
    while (!signal.aborted && !closed) {
      if (after >= log.length) {
        await headMoved.wait({ signal })
        continue
      }
      const events: StoredEvent[] = []
      let bytes = 0
      for (; after < log.length && events.length < Math.max(1, batchSize) && bytes < batchBytesMax; after += 1) {
        const row = log[after]
        if (!row || !passes(options, row)) continue
        events.push(toEvent(row))
        bytes += row.data.length + row.metadata.length
      }
      yield { events, position: positions.of(BigInt(after)), bytes }
    }
  }

  return {
    name: 'memory',
    capabilities: { ...memoryCapabilities, idsKnownWithin },
    append: async (append) => {
      const outcome = appendAll(checkAppends([append]))
      return 'outcome' in outcome ? outcome : (outcome[0] as Appended)
    },
    appendToMany: async (appends) => appendAll(checkAppends(appends)),
    readStream,
    readAll,
    subscribe,
    head: async () => positions.of(headNumber()),
    start: positions.start,
    parsePosition: (text) => positions.of(positions.numberOf(text)),
    distance: positions.distance,
    close: async () => {
      closed = true
      headMoved.notify()
    },
  }
}
