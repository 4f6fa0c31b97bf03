// The wire format of https://protobuf.dev/programming-guides/encoding, as far as the messages of messages.ts need it.

const continues = 0x80
const sevenBits = 0x7f
const wireTypeBits = 3
const wireTypes = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const
/** A number of so many bytes at seven bits each is exact as a `number`. */
const exactBytesMax = 7
const varintBytesMax = 10

/** Writes a message from its end to its beginning: so the length of a part is known when it is written before it.
 *  Fields are written in the reverse of the order in which they shall stand. */
export type MessageWriter = {
  text(field: number, text: string): void
  number(field: number, value: number | bigint): void
  /** Writes a message within the message. `write` writes its fields; left out, it is empty. */
  message(field: number, write?: () => void): void
  /** Returns what was written, and begins anew. */
  take(): Buffer<ArrayBuffer>
}

const firstBytes = 4_096

/** Creates a writer. It keeps its memory for the next message; what it returns is a copy.
 *
 *  @example
 *  const writer = createMessageWriter()
 *  writer.message(3, () => writer.text(1, 'inner'))
 *  writer.number(2, 7)
 *  const bytes = writer.take() // field 2, then field 3 */
export const createMessageWriter = (): MessageWriter => {
  let buffer = Buffer.allocUnsafe(firstBytes)
  let at = buffer.length

  /** Moves back by so many bytes. Returns where they begin. */
  const back = (bytes: number): number => {
    if (at < bytes) {
      const larger = Buffer.allocUnsafe(2 * (buffer.length + bytes))
      const begin = larger.length - (buffer.length - at)
      buffer.copy(larger, begin, at)
      buffer = larger
      at = begin
    }
    at -= bytes
    return at
  }

  const varint = (value: number): void => {
    let bytes = 1
    for (let rest = value; rest > sevenBits; rest = Math.floor(rest / continues)) bytes += 1
    let to = back(bytes)
    let rest = value
    for (; rest > sevenBits; rest = Math.floor(rest / continues)) {
      buffer[to] = (rest % continues) | continues
      to += 1
    }
    buffer[to] = rest
  }

  const bigVarint = (value: bigint): void => {
    const bytes: number[] = []
    let rest = value
    for (; rest > BigInt(sevenBits); rest >>= 7n) bytes.push(Number(rest & BigInt(sevenBits)) | continues)
    bytes.push(Number(rest))
    buffer.set(bytes, back(bytes.length))
  }

  const tag = (field: number, type: number): void => varint((field << wireTypeBits) | type)

  return {
    text: (field, text) => {
      const bytes = Buffer.byteLength(text)
      const begin = back(bytes)
      buffer.write(text, begin)
      varint(bytes)
      tag(field, wireTypes.delimited)
    },
    number: (field, value) => {
      if (typeof value === 'number') varint(value)
      else bigVarint(value)
      tag(field, wireTypes.varint)
    },
    message: (field, write) => {
      const behind = buffer.length - at
      write?.()
      varint(buffer.length - at - behind)
      tag(field, wireTypes.delimited)
    },
    take: () => {
      const written = Buffer.from(buffer.subarray(at))
      if (buffer.length > keptBytesMax) buffer = Buffer.allocUnsafe(firstBytes)
      at = buffer.length
      return written
    },
  }
}

const keptBytesMax = 1024 * 1024

/** A place in the bytes of a message. */
export type Cursor = { readonly bytes: Buffer; at: number }

const refuse = (): never => {
  throw new Error('The bytes are no message.')
}

/** Reads a number that is exact below 2^49. */
const readSmall = (cursor: Cursor): number => {
  const { bytes } = cursor
  let value = 0
  let scale = 1
  for (let read = 0; read < exactBytesMax; read += 1) {
    const byte = bytes[cursor.at] ?? refuse()
    cursor.at += 1
    if (byte < continues) return value + byte * scale
    value += (byte - continues) * scale
    scale *= continues
  }
  return refuse()
}

/** Reads the value of a field that is a number without sign. */
export const readNumber = (cursor: Cursor): bigint => {
  const { bytes, at } = cursor
  let length = 1
  while ((bytes[at + length - 1] ?? refuse()) >= continues) length += 1
  if (length <= exactBytesMax) return BigInt(readSmall(cursor))
  if (length > varintBytesMax) return refuse()
  let value = 0n
  for (let index = length - 1; index >= 0; index -= 1)
    value = (value << 7n) | BigInt((bytes[at + index] ?? 0) & sevenBits)
  cursor.at += length
  return BigInt.asUintN(64, value)
}

/** Returns the tag of a field that holds a text, bytes or a message. */
export const delimited = (field: number): number => (field << wireTypeBits) | wireTypes.delimited
/** Returns the tag of a field that holds a number. */
export const varint = (field: number): number => (field << wireTypeBits) | wireTypes.varint

/** Reads the tag of the next field. */
export const readTag = readSmall

/** Reads the length of a text, of bytes or of a message. Returns where it ends. */
export const readEnd = (cursor: Cursor): number => {
  const length = readSmall(cursor)
  const end = cursor.at + length
  return end <= cursor.bytes.length ? end : refuse()
}

/** Reads a field of bytes. They are a part of the message's own. */
export const readBytes = (cursor: Cursor): Buffer => {
  const end = readEnd(cursor)
  const bytes = cursor.bytes.subarray(cursor.at, end)
  cursor.at = end
  return bytes
}

/** Reads a field of text. */
export const readText = (cursor: Cursor): string => {
  const end = readEnd(cursor)
  const text = cursor.bytes.toString('utf8', cursor.at, end)
  cursor.at = end
  return text
}

/** Goes past the value of a field that is not needed. */
export const skip = (cursor: Cursor, tag: number): void => {
  const type = tag % (1 << wireTypeBits)
  if (type === wireTypes.varint) readNumber(cursor)
  else if (type === wireTypes.delimited) cursor.at = readEnd(cursor)
  else if (type === wireTypes.fixed64) cursor.at += 8
  else if (type === wireTypes.fixed32) cursor.at += 4
  else refuse()
}

/** Gives each field up to an end to `read`, which returns false for a field that it does not know. */
export const eachField = (cursor: Cursor, end: number, read: (tag: number) => boolean): void => {
  while (cursor.at < end) {
    const tag = readTag(cursor)
    if (!read(tag)) skip(cursor, tag)
  }
}

/** Reads a message of which only one text is needed. Returns an empty text when it is missing.
 *  @param wanted the tag of its field. */
export const readTextWithin = (cursor: Cursor, wanted: number): string => {
  const end = readEnd(cursor)
  let text = ''
  while (cursor.at < end) {
    const tag = readTag(cursor)
    if (tag === wanted) text = readText(cursor)
    else skip(cursor, tag)
  }
  return text
}

/** Gives each field of a message within the message to `read`. */
export const eachFieldWithin = (cursor: Cursor, read: (tag: number) => boolean): void =>
  eachField(cursor, readEnd(cursor), read)
