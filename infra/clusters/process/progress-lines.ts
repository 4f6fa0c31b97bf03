import { z } from 'zod'
import { parseJson } from '../../system/json.ts'
import type { JobProgress } from '../port.ts'

const lineBytesMax = 4096
const messageCharactersMax = 200
const newline = 0x0a
const carriageReturn = 0x0d
const figure = z.number().optional()
const jsonLine = z.object({
  ...{ percent: figure, progress: figure, epoch: figure, epochs: figure, step: figure, steps: figure },
  message: z.string().optional(),
})

/** Parses one line of a job's output. Returns undefined when the line reports no progress; more than 100 counts as 100.
 *  - `progress 42.5 loss 0.12`, with or without a percent sign
 *  - a bar of tqdm: `train:  45%|####      | 45/100 [00:10<00:12]`
 *  - `Epoch 3/10 - loss 0.4`, also with `of`
 *  - a line of JSON with `percent` (0 to 100), `progress` (a share, 0 to 1), or `epoch` and `epochs`, or `step` and
 *    `steps`; its `message` is the message */
export const parseProgressLine = (line: string): JobProgress | undefined => {
  const match = /^progress\s+(\d+(?:\.\d+)?)%?/.exec(line)
  if (match) return progressOf(Number(match[1]), line.slice(match[0].length))
  return line.startsWith('{') ? jsonProgress(line) : (barProgress(line) ?? epochProgress(line))
}

const progressOf = (percent: number, message: string): JobProgress | undefined =>
  percent >= 0 ? { percent: Math.min(percent, 100), message: cleanMessage(message) } : undefined

const barProgress = (line: string): JobProgress | undefined => {
  const sign = line.indexOf('%|')
  const digits = /\d{1,3}$/.exec(line.slice(Math.max(sign - 3, 0), Math.max(sign, 0)))?.[0]
  if (digits === undefined) return undefined
  const [title, counts] = [line.slice(0, sign - digits.length), line.slice(line.indexOf('|', sign + 2) + 1)]
  return progressOf(Number(digits), `${title.trim()} ${counts.trim()}`)
}

const epochProgress = (line: string): JobProgress | undefined => {
  const [whole, done, all] = /^ {0,8}epoch[ :[]{1,3}(\d{1,9}) ?(?:\/|of) ?(\d{1,9})/i.exec(line) ?? []
  return whole === undefined ? undefined : shareOf(Number(done), Number(all), line)
}

const shareOf = (done: number, all: number, message: string): JobProgress | undefined =>
  all > 0 ? progressOf((100 * done) / all, message) : undefined

const jsonProgress = (line: string): JobProgress | undefined => {
  const found = jsonLine.safeParse(parseJson(line)).data
  if (!found) return undefined
  const { percent, progress, epoch, epochs, step, steps, message = '' } = found
  if (percent !== undefined) return progressOf(percent, message)
  if (progress !== undefined) return progressOf(100 * progress, message)
  if (epoch !== undefined && epochs !== undefined) return shareOf(epoch, epochs, message)
  return step !== undefined && steps !== undefined ? shareOf(step, steps, message) : undefined
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

  // Bytes are cut into lines before decoding, so that the result does not depend on where the pieces were cut.
  const endLine = (found: JobProgress[]) => {
    if (line.length > 0) {
      const progress = parseProgressLine(Buffer.from(line).toString('utf8'))
      if (progress) found.push(progress)
    }
    line = []
  }

  return {
    push(bytes) {
      const found: JobProgress[] = []
      for (const byte of bytes) {
        if (byte === newline || byte === carriageReturn) {
          if (line.length > 0) endLine(found)
        } else if (line.length < lineBytesMax) line.push(byte)
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
