/** What a piece of a stream leaves unfinished: nothing, a message that began in it, or one that began before it. */
export type Unfinished = 'nothing' | 'new' | 'old'

const headerBytesMax = 14
const shortHeaderBytes = 2
const maskBytes = 4

/** Returns how long a header is, of which the first two bytes are known. */
const headerBytesOf = (second: number): number => {
  const length = second & 0x7f
  const lengthBytes = length === 127 ? 8 : length === 126 ? 2 : 0
  return shortHeaderBytes + lengthBytes + (second & 0x80 ? maskBytes : 0)
}

/** Returns how many bytes follow a header. */
const payloadBytesOf = (header: Buffer): number => {
  const length = (header[1] ?? 0) & 0x7f
  if (length === 127) return Number(header.readBigUInt64BE(shortHeaderBytes))
  return length === 126 ? header.readUInt16BE(shortHeaderBytes) : length
}

/** Makes a function that follows the frames of a WebSocket (RFC 6455, section 5.2) through the pieces in which they
 *  arrive, and returns what each piece leaves unfinished. A frame between messages, such as a ping, is one of its own. */
export const createFrames = (): ((piece: Uint8Array) => Unfinished) => {
  const header = Buffer.alloc(headerBytesMax)
  let [headerBytes, headerEnd, payloadLeft, isInMessage] = [0, shortHeaderBytes, 0, false]
  return (piece) => {
    let isNew = headerBytes === 0 && !isInMessage
    for (let at = 0; at < piece.length; ) {
      if (headerBytes < headerEnd) {
        header[headerBytes++] = piece[at++] ?? 0
        if (headerBytes === shortHeaderBytes) headerEnd = headerBytesOf(header[1] ?? 0)
        if (headerBytes < headerEnd) continue
        payloadLeft = payloadBytesOf(header)
      }
      const taken = Math.min(payloadLeft, piece.length - at)
      at += taken
      payloadLeft -= taken
      if (payloadLeft > 0) continue
      const [first = 0] = header
      // Control frames may stand between the frames of a message.
      if ((first & 0x08) === 0) isInMessage = (first & 0x80) === 0
      if (!isInMessage) isNew = true
      headerBytes = 0
      headerEnd = shortHeaderBytes
    }
    if (headerBytes === 0 && !isInMessage) return 'nothing'
    return isNew ? 'new' : 'old'
  }
}
