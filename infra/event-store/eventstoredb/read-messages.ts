// The messages of reads and subscriptions: see messages.ts.
import { jsonSizeOf } from '../../system/weight.ts'
import { callerIdOf, type Direction, type ServerEvent } from './events.ts'
import type { ServerFilter } from './filter.ts'
import { readPosition, readUuid } from './messages.ts'
import type { LogPosition } from './position.ts'
import {
  type Cursor,
  createMessageWriter,
  delimited,
  readEnd,
  readNumber,
  readTag,
  readText,
  readTextWithin,
  skip,
  varint,
} from './protobuf.ts'

const writer = createMessageWriter()

type Where =
  | { readonly stream: string; readonly from: bigint | 'start' | 'end' }
  | { readonly stream?: undefined; readonly from: LogPosition | 'start' | 'end' }

/** What is read: a stream from a revision on, or all streams from a position on. `window` is how many events the server
 *  looks at between two checkpoints, or before it sends what it has found. */
export type ReadRequest = Where & {
  readonly direction: Direction
  /** How many events at most, or all that there will be. */
  readonly count: number | 'subscription'
  readonly filter?: { readonly by: ServerFilter; readonly window: number }
}

const writeFrom = (
  from: LogPosition | bigint | 'start' | 'end',
  fields: { start: number; end: number; at: number },
) => {
  if (from === 'start') writer.message(fields.start)
  else if (from === 'end') writer.message(fields.end)
  else if (typeof from === 'bigint') writer.number(fields.at, from)
  else
    writer.message(fields.at, () => {
      writer.number(2, from.prepare)
      writer.number(1, from.commit)
    })
}

/** Returns a ReadReq. Ids come as text, links are not followed. */
export const encodeRead = ({ stream, from, direction, count, filter }: ReadRequest): Buffer => {
  writer.message(1, () => {
    writer.message(9, () => writer.message(2))
    if (filter)
      writer.message(7, () => {
        writer.number(5, 1)
        writer.number(3, filter.window)
        writer.message(filter.by.on === 'type' ? 2 : 1, () => writer.text(1, filter.by.regex))
      })
    else writer.message(8)
    if (count === 'subscription') writer.message(6)
    else writer.number(5, count)
    if (direction === 'backwards') writer.number(3, 1)
    if (stream === undefined) writer.message(2, () => writeFrom(from, { at: 1, start: 2, end: 3 }))
    else
      writer.message(1, () => {
        writeFrom(from, { at: 2, start: 3, end: 4 })
        writer.message(1, () => writer.text(3, stream))
      })
  })
  return writer.take()
}

/** An item of a read or a subscription, in the server's order: an event with about the bytes that it takes in memory,
 *  the position that was scanned to (`checkpoint`), the moment when a subscription has caught up with the log, or that
 *  there is no such stream. */
export type ReadItem =
  | { readonly kind: 'event'; readonly event: ServerEvent; readonly bytes: number }
  | { readonly kind: 'checkpoint'; readonly position: LogPosition }
  | { readonly kind: 'caught up' }
  | { readonly kind: 'no stream' }
  | { readonly kind: 'other' }

const tags = {
  one: delimited(1),
  two: delimited(2),
  revision: varint(3),
  prepare: varint(4),
  commit: varint(5),
  entry: delimited(6),
  metadata: delimited(7),
  data: delimited(8),
} as const

/** One below the largest position, which servers before 22.6 return in place of one. */
const positionMax = 2n ** 63n - 2n

const streamNameTag = delimited(3)

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** Returns whether the bytes from a place on are this text. Its characters are those of ASCII. */
const stands = (text: string, { bytes, at }: Cursor, end: number): boolean => {
  if (end - at !== text.length) return false
  for (let index = 0; index < text.length; index += 1) if (bytes[at + index] !== text.charCodeAt(index)) return false
  return true
}

/** Reads a recorded event, field by field: this is the hottest part of catching up, so it takes no part of the bytes that
 *  it does not need, and makes no text of what it only compares. */
const readEvent = (cursor: Cursor): ReadItem => {
  const { bytes } = cursor
  const end = readEnd(cursor)
  let [serverId, stream, type] = ['', '', '']
  let revision = 0n
  let commit: bigint | undefined
  let prepare: bigint | undefined
  let [dataFrom, dataEnd, metadataFrom, metadataEnd] = [0, 0, 0, 0]
  let isJson = false
  while (cursor.at < end) {
    const tag = readTag(cursor)
    if (tag === tags.one) serverId = readUuid(cursor)
    else if (tag === tags.two) stream = readTextWithin(cursor, streamNameTag)
    else if (tag === tags.revision) revision = readNumber(cursor)
    else if (tag === tags.prepare) prepare = readNumber(cursor)
    else if (tag === tags.commit) commit = readNumber(cursor)
    else if (tag === tags.metadata) {
      metadataEnd = readEnd(cursor)
      metadataFrom = cursor.at
      cursor.at = metadataEnd
    } else if (tag === tags.data) {
      dataEnd = readEnd(cursor)
      dataFrom = cursor.at
      cursor.at = dataEnd
    } else if (tag === tags.entry) {
      const entryEnd = readEnd(cursor)
      let key: 'type' | 'content-type' | 'other' = 'other'
      while (cursor.at < entryEnd) {
        const inner = readTag(cursor)
        if (inner === tags.two && key === 'type') type = readText(cursor)
        else if (inner === tags.one || inner === tags.two) {
          const textEnd = readEnd(cursor)
          if (inner === tags.one) key = stands('type', cursor, textEnd) ? 'type' : keyOr(cursor, textEnd)
          else if (key === 'content-type') isJson = stands('application/json', cursor, textEnd)
          cursor.at = textEnd
        } else skip(cursor, inner)
      }
    } else skip(cursor, tag)
  }
  const metadata = parsed(bytes.toString('utf8', metadataFrom, metadataEnd))
  const text = isJson ? bytes.toString('utf8', dataFrom, dataEnd) : ''
  const position =
    commit === undefined || prepare === undefined || commit > positionMax ? undefined : { commit, prepare }
  const event: ServerEvent = {
    stream,
    revision,
    id: callerIdOf(serverId, metadata),
    serverId,
    type,
    isJson,
    data: isJson ? parsed(text) : bytes.subarray(dataFrom, dataEnd),
    metadata,
    position,
  }
  return { kind: 'event', event, bytes: isJson ? jsonSizeOf(text).bytes : dataEnd - dataFrom }
}

const keyOr = (cursor: Cursor, end: number) => (stands('content-type', cursor, end) ? 'content-type' : 'other')

const fields = {
  event: delimited(1),
  checkpoint: delimited(3),
  noStream: delimited(4),
  caughtUp: delimited(8),
} as const

/** Reads a ReadResp. */
export const decodeRead = (bytes: Buffer): ReadItem => {
  const cursor: Cursor = { bytes, at: 0 }
  const tag = readTag(cursor)
  if (tag === fields.checkpoint) return { kind: 'checkpoint', position: readPosition(cursor) }
  if (tag === fields.noStream) return { kind: 'no stream' }
  if (tag === fields.caughtUp) return { kind: 'caught up' }
  if (tag !== fields.event) return { kind: 'other' }
  const end = readEnd(cursor)
  while (cursor.at < end) {
    const inner = readTag(cursor)
    if (inner === tags.one) return readEvent(cursor)
    skip(cursor, inner)
  }
  return { kind: 'other' }
}
