import type { JobProgress } from '../port.ts'

const lineBytesMax = 4096
const messageCharactersMax = 200
const newline = 0x0a
const carriageReturn = 0x0d
const firstByte = 'p'.charCodeAt(0)

/** Parses one line of a job's output: `progress 42.5 loss 0.12`, with or without a percent sign. More than 100 counts
 *  as 100. Returns undefined when the line reports no progress. */
export const parseProgressLine = (line: string): JobProgress | undefined => {
  const match = /^progress\s+(\d+(?:\.\d+)?)%?/.exec(line)
  if (!match) return undefined
  return { percent: Math.min(Number(match[1]), 100), message: cleanMessage(line.slice(match[0].length)) }
}

// What a program prints is stored as JSON and in databases, which accept neither control characters nor half a
// character.
const cleanMessage = (text: string): string =>
  text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, messageCharactersMax)
    .toWellFormed()

export type ProgressLines = {
  /** Takes the next bytes of the output, and returns the progress in the lines that they complete, oldest first. */
  push(bytes: Uint8Array): JobProgress[]
  /** Ends the output, and returns the progress in a last line without an end. */
  finish(): JobProgress[]
}

/** Makes a reader of progress from output in pieces, cut anywhere, also inside a character. It never throws. Lines end
 *  with a newline or a carriage return; of a line longer than 4096 bytes the rest is left out. */
export const progressLines = (): ProgressLines => {
  let line: number[] = []
  let skipping = false

  // Bytes are cut into lines before decoding, so that the result does not depend on where the pieces were cut.
  const endLine = (found: JobProgress[]) => {
    if (line.length > 0) {
      const progress = parseProgressLine(Buffer.from(line).toString('utf8'))
      if (progress) found.push(progress)
    }
    line = []
    skipping = false
  }

  return {
    push(bytes) {
      const found: JobProgress[] = []
      for (const byte of bytes) {
        if (byte === newline || byte === carriageReturn) {
          if (line.length > 0 || skipping) endLine(found)
        } else if (!skipping) {
          // Most lines report no progress, which their first byte shows.
          if (line.length === 0 && byte !== firstByte) skipping = true
          else if (line.length < lineBytesMax) line.push(byte)
        }
      }
      return found
    },
    finish() {
      const found: JobProgress[] = []
      endLine(found)
      return found
    },
  }
}
