import { hash } from 'node:crypto'
import { v7 } from 'uuid'

/** Never changes: every derived id depends on it. 6f2c1e0a-3b54-4d5e-9a53-0d3f0a1f7c11 */
const namespace = Buffer.from('6f2c1e0a3b544d5e9a530d3f0a1f7c11', 'hex')

const randomBytesOfId = 16
/** Random bytes are drawn for so many ids at once: a draw for each takes longer than all else of it. */
const idsDrawn = 256
const drawn = new Uint8Array(randomBytesOfId * idsDrawn)
let drawnUsed = drawn.length
let lastMs = 0
let sequence = 0

const drawRandom = (): Uint8Array => {
  if (drawnUsed === drawn.length) {
    crypto.getRandomValues(drawn)
    drawnUsed = 0
  }
  drawnUsed += randomBytesOfId
  return drawn.subarray(drawnUsed - randomBytesOfId, drawnUsed)
}

/** Returns a new id; ids are ordered by time, those of one process also within a millisecond. */
export const newId = (): string => {
  const random = drawRandom()
  const now = Date.now()
  sequence = (sequence + 1) >>> 0
  if (now > lastMs) {
    lastMs = now
    // Half of what the format has room for, so that counting on rarely overflows.
    sequence = new DataView(random.buffer, random.byteOffset).getUint32(6) >>> 1
  } else if (sequence === 0) lastMs += 1
  return v7({ random, msecs: lastMs, seq: sequence })
}

/** Returns the id of these parts: always the same for the same parts, so two runs of one saga send the same commands.
 *  The parts that are in use stand in derived-ids.ts. */
export const derivedId = (...parts: readonly string[]): string => {
  const digest = hash('sha1', Buffer.concat([namespace, Buffer.from(JSON.stringify(parts))]), 'hex')
  // UUID version 5 (RFC 9562): the digits of the version and of the variant are set.
  const variant = ((Number.parseInt(digest.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-${variant}${digest.slice(18, 20)}-${digest.slice(20, 32)}`
}

/** Returns the id of the n-th event of a command (from 0). It is made of the command id and the time (ISO 8601), so it
 *  is the same wherever the command is answered. A UUID of version 8 whose first 48 bits are the time in milliseconds,
 *  as in version 7: ids that follow each other stand side by side in the index of a store, however long the log is (ADR
 *  17). */
export const eventIdOf = (commandId: string, index: number, time: string): string => {
  const name = derivedId(commandId, String(index))
  const moment = Math.max(0, Date.parse(time) || 0)
    .toString(16)
    .padStart(12, '0')
    .slice(-12)
  return `${moment.slice(0, 8)}-${moment.slice(8)}-8${name.slice(15)}`
}
