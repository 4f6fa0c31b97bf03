import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createFrames, type Unfinished } from './frames.ts'

const text = 0x1
const control = fc.constantFrom(0x9, 0xa)
const fragmentBytes = fc.constantFrom(0, 1, 125, 126, 3_000, 70_000)

/** Writes a frame as clients do, with a mask of zeros. */
const frame = (opcode: number, isLast: boolean, length: number): Buffer => {
  const head = [(isLast ? 0x80 : 0) | opcode]
  const mask = [0, 0, 0, 0]
  if (length < 126) return Buffer.concat([Buffer.from([...head, 0x80 | length, ...mask]), Buffer.alloc(length)])
  const long = Buffer.alloc(8)
  long.writeBigUInt64BE(BigInt(length))
  const size = length < 65_536 ? [0x80 | 126, ...long.subarray(6)] : [0x80 | 127, ...long]
  return Buffer.concat([Buffer.from([...head, ...size, ...mask]), Buffer.alloc(length)])
}

/** A message in fragments, each with control frames before it. Bytes, and the place where each unit begins: a message,
 *  or a control frame between messages. */
const messages = fc.array(
  fc.array(fc.record({ controls: fc.array(control, { maxLength: 2 }), length: fragmentBytes }), {
    minLength: 1,
    maxLength: 4,
  }),
  { maxLength: 5 },
)

test('what a piece leaves unfinished is known, however frames are cut into pieces', () =>
  fc.assert(
    fc.property(messages, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }), (given, cuts) => {
      const starts: number[] = []
      const frames: Buffer[] = []
      let length = 0
      const add = (bytes: Buffer, begins: boolean) => {
        if (begins) starts.push(length)
        frames.push(bytes)
        length += bytes.length
      }
      for (const fragments of given)
        for (const [index, fragment] of fragments.entries()) {
          for (const opcode of fragment.controls) add(frame(opcode, true, 5), index === 0)
          add(frame(index === 0 ? text : 0, index === fragments.length - 1, fragment.length), index === 0)
        }
      const stream = Buffer.concat(frames)
      const ends = [...new Set([...cuts.map((cut) => Math.round(cut * length)), length])].toSorted((a, b) => a - b)
      const follow = createFrames()
      let from = 0
      for (const to of ends) {
        const begun = starts.findLast((start) => start < to) ?? 0
        const isWhole = to === length || starts.includes(to)
        const expected: Unfinished = isWhole ? 'nothing' : begun >= from ? 'new' : 'old'
        expect([from, to, to === from ? expected : follow(stream.subarray(from, to))]).toEqual([from, to, expected])
        from = to
      }
    }),
  ))
