import { Failure } from '../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../../infra/async/bounded.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { weightOf } from '../../infra/system/weight.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

const bound = registerBound({
  name: 'stream folds',
  holds: 'Rows as of some revisions of the streams that asOf and subscriptions read last: the next fold starts there.',
  whenFull: 'evicts the least recently used',
  bytesMax: 32 * 1024 * 1024,
})
/** Of a stream, the rows are remembered as of every so many events; the distance doubles when they are too many. */
const spacingEventsMin = 128n
const spacedPointsMax = 256
/** The most points of a stream where a fold has ended, besides those: subscriptions go on there. */
const endPointsMax = 8
const pointBytes = 200

type Rows = ReadonlyMap<string, AnyRow>
/** The rows of a stream as of a revision. `latestMs` is the latest time of an event until then. */
type Point = { readonly revision: bigint; readonly position: string; readonly latestMs: number; readonly rows: Rows }
type Remembered = Point & { readonly bytes: number }
/** What is remembered of a stream. From the poisoned revision on it is parked, as in the read model. */
type Memory = {
  readonly spaced: readonly Remembered[]
  readonly spacing: bigint
  readonly ends: readonly Remembered[]
  readonly poison: Poison | undefined
}
type Poison = { readonly revision: bigint; readonly error: unknown }
type Until = { readonly position?: Position | undefined; readonly timeMs?: number | undefined }

const nothing: Memory = { spaced: [], spacing: spacingEventsMin, ends: [], poison: undefined }
const beginning: Point = { revision: -1n, position: '', latestMs: Number.NEGATIVE_INFINITY, rows: new Map() }

/** The rows of one stream, by key. With `poison`, they are as of the event before the one that cannot be folded. */
export type FoldedStream<Row> = { readonly rows: ReadonlyMap<string, Row>; readonly poison: Poison | undefined }
type Past<Row extends AnyRow> = {
  readonly projection: Projection<Row>
  readonly stream: string
  readonly untilPosition?: Position | undefined
  /** ISO 8601 in UTC. */
  readonly untilTime?: string | undefined
}

/** Folds of single streams, as of any moment. */
export type StreamFolds = {
  /** Resolves to the rows of a stream as of a position or a time; to the current ones when neither is given. An event
   *  that cannot be folded ends the fold. Throws INPUT_INVALID, POSITION_FOREIGN. */
  fold<Row extends AnyRow>(past: Past<Row>): Promise<FoldedStream<Row>>
  /** Resolves to the rows of the stream as of this event; to undefined when the stream is parked there. */
  rowsAfter<Row extends AnyRow>(
    projection: Projection<Row>,
    event: StoredEvent,
  ): Promise<ReadonlyMap<string, Row> | undefined>
}

/** Creates the folds of streams of one store. What is stored never changes, so the rows as of a revision are remembered:
 *  the next fold of the stream reads only what comes after the nearest one before. Callers of one stream take turns, so
 *  that a long stream is read once. */
export const createStreamFolds = ({
  store,
  bytesMax,
}: {
  readonly store: Pick<EventStore, 'readStream'>
  readonly bytesMax?: number
}): StreamFolds => {
  const memories = createBoundedMap<Memory>(bound, bytesMax === undefined ? undefined : { bytesMax })
  const inTurn = createTurns()

  const remember = (key: string, memory: Memory) => {
    const bytes = [...memory.spaced, ...memory.ends].reduce((sum, point) => sum + point.bytes, pointBytes)
    memories.set(key, memory, bytes)
  }

  const foldUntil = async (projection: Projection, stream: string, key: string, until: Until) => {
    const memory = memories.get(key) ?? nothing
    const from = nearest(memory, until)
    const { spacing } = memory
    const spaced: Remembered[] = []
    const rows = new Map(from.rows)
    let { poison } = memory
    let at = from
    let isParked = false
    const range = { from: from.revision + 1n, ...(until.position !== undefined && { untilPosition: until.position }) }
    for await (const stored of store.readStream(stream, range)) {
      const timeMs = Date.parse(stored.metadata.time)
      if (until.timeMs !== undefined && timeMs > until.timeMs) break
      isParked = poison !== undefined && stored.revision >= poison.revision
      if (isParked) break
      try {
        foldOne(projection, rows, stored)
      } catch (error) {
        poison = { revision: stored.revision, error }
        isParked = true
        break
      }
      at = { revision: stored.revision, position: stored.position, latestMs: Math.max(at.latestMs, timeMs), rows }
      if ((at.revision + 1n) % spacing === 0n) spaced.push(copied(at))
    }
    const now = memories.get(key) ?? memory
    const kept = withEnd({ ...withSpaced(now, spaced), poison: poison ?? now.poison }, at, from)
    if (at.revision >= 0n || poison) remember(key, kept)
    return { rows, poison: isParked ? poison : undefined }
  }

  return {
    fold: async <Row extends AnyRow>({ projection, stream, untilPosition, untilTime }: Past<Row>) => {
      const timeMs = untilTime === undefined ? undefined : Date.parse(untilTime)
      if (Number.isNaN(timeMs)) throw new Failure('INPUT_INVALID', { untilTime: untilTime ?? '' })
      const key = keyOf(projection, stream)
      const until = { position: untilPosition, timeMs }
      const folded = await inTurn(key, () => foldUntil(projection as Projection, stream, key, until))
      return folded as unknown as FoldedStream<Row>
    },
    rowsAfter: async <Row extends AnyRow>(projection: Projection<Row>, stored: StoredEvent) => {
      const key = keyOf(projection, stored.stream)
      const memory = memories.get(key) ?? nothing
      if (memory.poison && stored.revision >= memory.poison.revision) return undefined
      const known = memory.ends.find(({ revision }) => revision === stored.revision)
      if (known) return known.rows as unknown as ReadonlyMap<string, Row>
      const before = stored.revision === 0n ? beginning : pointAt(memory, stored.revision - 1n)
      if (!before) {
        const until = { position: stored.position }
        const folded = await inTurn(key, () => foldUntil(projection as Projection, stored.stream, key, until))
        return folded.poison ? undefined : (folded.rows as unknown as ReadonlyMap<string, Row>)
      }
      const rows = new Map(before.rows)
      try {
        foldOne(projection as Projection, rows, stored)
      } catch (error) {
        remember(key, { ...memory, poison: { revision: stored.revision, error } })
        return undefined
      }
      const { revision, position } = stored
      const latestMs = Math.max(before.latestMs, Date.parse(stored.metadata.time))
      remember(key, withEnd(memory, { revision, position, latestMs, rows }, before))
      return rows as unknown as ReadonlyMap<string, Row>
    },
  }
}

const keyOf = ({ name, version }: Pick<Projection, 'name' | 'version'>, stream: string) =>
  `${name} ${version} ${stream}`

const foldOne = (projection: Projection, rows: Map<string, AnyRow>, stored: StoredEvent): void => {
  if (!projection.types.includes(stored.type)) return
  const { event, metadata } = decodeStored(stored)
  foldInto(projection, rows, event, metadata)
}

const copied = (point: Point): Remembered => ({
  ...point,
  rows: new Map(point.rows),
  bytes: pointBytes + weightOf(point.rows),
})

const pointAt = ({ spaced, ends }: Memory, revision: bigint): Point | undefined =>
  ends.find((point) => point.revision === revision) ?? spaced.find((point) => point.revision === revision)

/** Returns the last point that belongs to the beginning of the stream which ends at a moment. */
const nearest = ({ spaced, ends }: Memory, { position, timeMs = Number.POSITIVE_INFINITY }: Until): Point => {
  let found = beginning
  for (const point of [...spaced, ...ends])
    if (
      point.revision > found.revision &&
      (position === undefined || point.position <= position) &&
      point.latestMs <= timeMs
    )
      found = point
  return found
}

const withSpaced = (memory: Memory, points: readonly Remembered[]): Memory => {
  let { spacing } = memory
  let spaced = [...memory.spaced, ...points.filter(({ revision }) => !pointIn(memory.spaced, revision))]
  while (spaced.length > spacedPointsMax) {
    spacing *= 2n
    spaced = spaced.filter(({ revision }) => (revision + 1n) % spacing === 0n)
  }
  return { ...memory, spaced, spacing }
}

const pointIn = (points: readonly Point[], revision: bigint) => points.some((point) => point.revision === revision)

/** Adds the point where a fold has ended; it takes the place of the one where the fold began. */
const withEnd = (memory: Memory, end: Point, from: Point): Memory => {
  if (end.revision < 0n) return memory
  const others = memory.ends.filter(({ revision }) => revision !== end.revision && revision !== from.revision)
  return { ...memory, ends: [...others, copied(end)].slice(-endPointsMax) }
}

/** Creates the function that runs work with the same key one after the other. */
const createTurns = () => {
  const turns = new Map<string, Promise<unknown>>()
  return <Value>(key: string, work: () => Promise<Value>): Promise<Value> => {
    const mine = (turns.get(key) ?? Promise.resolve()).then(work)
    const over = mine
      .catch(() => undefined)
      .then(() => {
        if (turns.get(key) === over) turns.delete(key)
      })
    turns.set(key, over)
    return mine
  }
}
