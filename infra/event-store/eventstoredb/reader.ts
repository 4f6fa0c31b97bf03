import { Failure } from '../../../domain/errors.ts'
import { maxOf, minOf } from '../bigint.ts'
import type { AllRange, Metadata, StoredEvent, StreamRange } from '../port.ts'
import { identityStream } from '../position.ts'
import { isName, isUtcTime, revisionMax } from '../validation.ts'
import type { Connection } from './client.ts'
import { damaged, holdsForeign } from './errors.ts'
import { isOurs, type ServerEvent, type ServerPage, toStored } from './events.ts'
import { passes, serverFilter } from './filter.ts'
import { firstLeftBy } from './find-event.ts'
import { createHead, type OurEvent } from './head.ts'
import type { KnownIds } from './known-ids.ts'
import { isBeyond, type LogPosition, type LogPositions } from './position.ts'

const streamPageMax = 200
const allPageMax = 500

export type Reader = {
  /** Resolves to the last event of this log, or to undefined when there is none. */
  lastEvent(): Promise<OurEvent | undefined>
  readStream(stream: string, range?: StreamRange): AsyncGenerator<StoredEvent>
  readAll(range?: AllRange): AsyncGenerator<StoredEvent>
  /** Yields the events of a stream as the server returns them, page by page from a revision on, at most as many as are
   *  wanted. Throws STREAM_DAMAGED for an event of another program among them. */
  streamPages(
    stream: string,
    direction: 'forwards' | 'backwards',
    from: bigint | 'end',
    wanted?: number,
  ): AsyncGenerator<readonly ServerEvent[]>
}

type PagesAsked = Parameters<Reader['streamPages']>

type Options = {
  readonly connection: Connection
  readonly positions: LogPositions
  readonly knownIds: KnownIds
  /** Called with each event that carries our mark and is not ours. */
  readonly onStrange: (event: ServerEvent) => void
}

/** Creates the reading half of the store. It reads page by page, so that no call stays open while the caller
 *  processes events. */
export const createReader = ({ connection, positions, knownIds, onStrange }: Options): Reader => {
  async function* streamPages(
    stream: string,
    direction: 'forwards' | 'backwards',
    from: bigint | 'end',
    wanted = Number.POSITIVE_INFINITY,
  ) {
    const pageMax = Math.min(streamPageMax, wanted)
    const step = direction === 'forwards' ? 1n : -1n
    const readFrom = (revision: bigint | 'end') => connection.readStream(stream, direction, revision, pageMax)
    let ahead: Promise<ServerPage> | undefined
    for (let next = from, read = 0; ; read += 1) {
      const { events: page, isCut, isNoStream }: ServerPage = await (ahead ?? readFrom(next))
      ahead = undefined
      let expected = next === 'end' ? page[0]?.revision : next
      // Backwards from beyond the end, the server begins at the end.
      if (direction === 'backwards' && read === 0 && page[0] && next !== 'end' && page[0].revision < next)
        expected = page[0].revision
      for (const { revision } of page) {
        if (revision !== expected) throw damaged(stream, `revision ${expected} is missing`)
        expected = revision + step
      }
      // Ids behind an event of another program stay unknown, so that who asks for them meets it again.
      const foreign = page.findIndex((event) => !isOurs(event))
      if (direction === 'forwards') knownIds.add(stream, foreign < 0 ? page : page.slice(0, foreign))
      const last = page.at(-1)
      const isLastPage = last === undefined || (page.length < pageMax && !isCut)
      const goesOn = last !== undefined && !isLastPage && last.revision + step >= 0n && (read + 1) * pageMax < wanted
      // Who reads one page alone shall not pay for two.
      if (goesOn && read > 0) ahead = begun(readFrom(last.revision + step))
      if (page.length > 0) yield page
      const mayBeGone = last === undefined && read === 0 && (next === 'end' || next === 0n)
      if (mayBeGone && !isNoStream) throw damaged(stream, 'none of its events is left ($tb, $maxAge, $maxCount)')
      if (mayBeGone) await refuseDeleted(stream)
      // Backwards every stream ends with its revision 0.
      const before = last === undefined ? (read === 0 ? -1n : next) : last.revision - 1n
      if (isLastPage && direction === 'backwards' && before !== 'end' && before >= 0n)
        throw damaged(stream, `revision ${before} is missing`)
      if (isLastPage) return
      next = last.revision + step
      if (next < 0n) return
    }
  }

  async function* ourPages(...[stream, direction, from, wanted = Number.POSITIVE_INFINITY]: PagesAsked) {
    let left = wanted
    for await (const page of streamPages(stream, direction, from, wanted)) {
      const events = page.slice(0, left)
      const foreign = events.find((event) => !isOurs(event))
      if (foreign) throw holdsForeign(foreign)
      yield events
      left -= events.length
      if (left <= 0) return
    }
  }

  /** Throws STREAM_DAMAGED when a stream that is not there was: then the server keeps from where on it is read. */
  const refuseDeleted = async (stream: string): Promise<void> => {
    const { events } = await connection.readStream(`$$${stream}`, 'backwards', 'end', 1)
    if (firstLeftBy(events[0]?.data) > 0n) throw damaged(stream, 'it was deleted')
  }

  /** Resolves to the revision before the first event whose time is later than a moment. When clocks disagree, an
   *  earlier event may follow a later one. A stream as of that moment ends before the later one, so the result is
   *  always a state of the past. */
  const lastRevisionUntil = async (stream: string, moment: number): Promise<bigint> => {
    let last = -1n
    for await (const page of streamPages(stream, 'forwards', 0n))
      for (const event of page) {
        if (isOurs(event) && Date.parse((event.metadata as Metadata).time) > moment) return last
        last = event.revision
      }
    return last
  }

  async function* readStream(stream: string, range: StreamRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', from, limit = Number.POSITIVE_INFINITY, untilTime, untilPosition } = range
    const until = untilPosition === undefined ? undefined : positions.partsOf(untilPosition)
    if (untilTime !== undefined && !isUtcTime(untilTime)) throw new Failure('INPUT_INVALID', { untilTime })
    if (!isReadable(stream) || stream === identityStream || limit <= 0) return
    const top = untilTime === undefined ? revisionMax : await lastRevisionUntil(stream, Date.parse(untilTime))
    const backwards = direction === 'backwards'
    if (top < 0n || (from !== undefined && (backwards ? from < 0n : from > top))) return
    const start = backwards ? minOf(top, from ?? revisionMax) : maxOf(0n, from ?? 0n)
    let remaining = limit
    for await (const page of streamPages(stream, direction, start === revisionMax ? 'end' : start, limit))
      for (const event of page) {
        const stored = toStored(event, positions, onStrange)
        if (event.revision > top || (until && event.position && isBeyond(event.position, until))) {
          if (backwards) continue
          return
        }
        if (!stored) throw holdsForeign(event)
        yield stored
        remaining -= 1
        if (remaining <= 0) return
      }
  }

  const lastEvent = createHead(connection)

  async function* readAll(range: AllRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = range
    const after = range.after === undefined ? undefined : positions.partsOf(range.after)
    const backwards = direction === 'backwards'
    const end = backwards ? undefined : (await lastEvent())?.position
    if (limit <= 0 || (backwards ? range.after === positions.start : end === undefined)) return
    const filter = serverFilter(range)
    // Backwards the server compares the end of an event: a position between two events is the end of the first.
    const first = after && { commit: after.commit, prepare: backwards ? after.commit : after.prepare }
    let from: LogPosition | 'start' | 'end' = first ?? (backwards ? 'end' : 'start')
    if (!backwards && range.after === positions.start) from = 'start'
    let last = after
    let left = limit
    let ahead: Promise<ServerPage> | undefined
    for (let read = 0; ; read += 1) {
      const count = Math.min(allPageMax, Math.max(left, 32) + 1)
      const { events: page, isCut }: ServerPage = await (ahead ?? connection.readAll(direction, from, count, filter))
      const next = page.at(-1)?.position
      const isLastPage = next === undefined || (page.length < count && !isCut)
      const goesOn = !isLastPage && left > page.length && (end === undefined || isBeyond(end, next))
      // Who reads one page alone shall not pay for two.
      ahead = goesOn && read > 0 ? begun(connection.readAll(direction, next, count, filter)) : undefined
      for (const event of page) {
        const { position } = event
        if (position === undefined) continue
        // Forwards the server returns the event at the position again.
        if (last && !(backwards ? isBeyond(last, position) : isBeyond(position, last))) continue
        if (end && isBeyond(position, end)) return
        last = position
        const stored = passes(range, event) ? toStored(event, positions, onStrange) : undefined
        if (!stored) continue
        yield stored
        left -= 1
        if (left <= 0) return
      }
      if (isLastPage || last === undefined) return
      from = last
    }
  }

  return { lastEvent, readStream, readAll, streamPages: ourPages }
}

/** Returns a read that goes on while its result is not awaited yet, and may never be. */
const begun = (reading: Promise<ServerPage>): Promise<ServerPage> => {
  reading.catch(() => undefined)
  return reading
}

/** Returns whether clients may use a stream's name: the server reserves names that begin with $. */
const isReadable = (stream: string) => isName(stream) && !stream.startsWith('$')
