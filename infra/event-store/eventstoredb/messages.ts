// The messages of the server's protocol that appends and reads consist of (streams.proto and shared.proto, the same in
// EventStoreDB since 21.10 and in KurrentDB), written and read without the generated classes: those take three to five
// times as long for an event as everything else in this process.
import type { OutgoingEvent } from './events.ts'
import type { LogPosition } from './position.ts'
import {
  type Cursor,
  createMessageWriter,
  delimited,
  eachField,
  eachFieldWithin,
  readBytes,
  readNumber,
  readText,
  readTextWithin,
  varint,
} from './protobuf.ts'

/** An append as it is sent: `call` is the id by which the server answers it. */
export type AppendRequest = {
  readonly call: string
  readonly stream: string
  readonly expected: bigint | 'no stream'
  readonly events: readonly OutgoingEvent[]
}

const writer = createMessageWriter()

/** Writes a UUID as text. */
const writeUuid = (field: number, id: string): void => writer.message(field, () => writer.text(2, id))

const writeEntry = (field: number, key: string, value: string): void =>
  writer.message(field, () => {
    writer.text(2, value)
    writer.text(1, key)
  })

const writeEvent = ({ serverId, type, data, metadata }: OutgoingEvent): void =>
  writer.message(3, () => {
    writer.text(4, data)
    writer.text(3, metadata)
    writeEntry(2, 'content-type', 'application/json')
    writeEntry(2, 'type', type)
    writeUuid(1, serverId)
  })

const writeAppendOptions = ({ stream, expected }: AppendRequest): void =>
  writer.message(2, () => {
    if (expected === 'no stream') writer.message(3)
    else writer.number(2, expected)
    writer.message(1, () => writer.text(3, stream))
  })

/** Returns a BatchAppendReq. It names no deadline: the server's own limits how long it waits for its followers. */
export const encodeAppend = (request: AppendRequest): Buffer => {
  const { events } = request
  writer.number(4, 1)
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const event = events[index]
    if (event) writeEvent(event)
  }
  writeAppendOptions(request)
  writeUuid(1, request.call)
  return writer.take()
}

/** The server's answer to an append. `refused` has the name of the reason, as the server calls it. */
export type AppendAnswer =
  | { readonly outcome: 'written'; readonly revision: bigint; readonly position: LogPosition | undefined }
  | { readonly outcome: 'conflict'; readonly actual: bigint | undefined }
  | { readonly outcome: 'refused'; readonly reason: string; readonly message: string }

/** Reads a position, as several messages have it. */
export const readPosition = (cursor: Cursor): LogPosition => {
  let [commit, prepare] = [0n, 0n]
  eachFieldWithin(cursor, (tag) => {
    if (tag === varint(1)) commit = readNumber(cursor)
    else if (tag === varint(2)) prepare = readNumber(cursor)
    else return false
    return true
  })
  return { commit, prepare }
}

const readWritten = (cursor: Cursor): AppendAnswer => {
  let revision = 0n
  let position: LogPosition | undefined
  eachFieldWithin(cursor, (tag) => {
    if (tag === varint(1)) revision = readNumber(cursor)
    else if (tag === delimited(3)) position = readPosition(cursor)
    else return false
    return true
  })
  return { outcome: 'written', revision, position }
}

/** Reads a UUID that was asked for as text. */
export const readUuid = (cursor: Cursor): string => readTextWithin(cursor, uuidText)

const uuidText = delimited(2)

/** Reads a google.rpc.Status. Its details are a message of the type that `type_url` names after its last slash. */
const readRefusal = (cursor: Cursor): AppendAnswer => {
  let [message, type] = ['', '']
  let details: Buffer = Buffer.alloc(0)
  eachFieldWithin(cursor, (tag) => {
    if (tag === delimited(2)) message = readText(cursor)
    else if (tag === delimited(3))
      eachFieldWithin(cursor, (inner) => {
        if (inner === delimited(1)) type = readText(cursor)
        else if (inner === delimited(2)) details = readBytes(cursor)
        else return false
        return true
      })
    else return false
    return true
  })
  const reason = type.slice(type.lastIndexOf('.') + 1)
  const inside: Cursor = { bytes: details, at: 0 }
  let first: bigint | undefined
  let bytesMax: bigint | undefined
  if (reason === 'WrongExpectedVersion' || reason.startsWith('MaximumAppend'))
    eachField(inside, details.length, (tag) => {
      if (tag === varint(1)) first = readNumber(inside)
      else if (tag === varint(3)) bytesMax = readNumber(inside)
      else return false
      return true
    })
  if (reason === 'WrongExpectedVersion') return { outcome: 'conflict', actual: first }
  if (reason === 'MaximumAppendSizeExceeded') message = `Maximum Append Size of ${first} Exceeded.`
  if (reason === 'MaximumAppendEventSizeExceeded') message = `Maximum Append Event Size of ${bytesMax} Exceeded.`
  return { outcome: 'refused', reason, message }
}

/** Reads a BatchAppendResp. */
export const decodeAppendAnswer = (bytes: Buffer): { readonly call: string; readonly answer: AppendAnswer } => {
  const cursor: Cursor = { bytes, at: 0 }
  let call = ''
  let answer: AppendAnswer = { outcome: 'refused', reason: 'Unknown', message: 'an answer without a result' }
  eachField(cursor, bytes.length, (tag) => {
    if (tag === delimited(1)) call = readUuid(cursor)
    else if (tag === delimited(2)) answer = readRefusal(cursor)
    else if (tag === delimited(3)) answer = readWritten(cursor)
    else return false
    return true
  })
  return { call, answer }
}
