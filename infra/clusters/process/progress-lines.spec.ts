import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { JobProgress } from '../port.ts'
import { parseProgressLine, progressLines } from './progress-lines.ts'

/** Returns what the reader finds in these pieces. */
const read = (pieces: readonly Uint8Array[]): JobProgress[] => {
  const lines = progressLines()
  return [...pieces.flatMap((piece) => lines.push(piece)), ...lines.finish()]
}

const noProgress = [
  '%|',
  'a%|',
  'epoch',
  'epoch 3/0',
  'epochs 3/4',
  '{',
  '{}',
  '{"percent": "4"}',
  '{"percent": -1}',
  '{"step": 1}',
]

describe('one line', () => {
  test.each([
    ['progress 42 loss 0.1234', { percent: 42, message: 'loss 0.1234' }],
    ['progress 42.5% loss 0.1', { percent: 42.5, message: 'loss 0.1' }],
    ['progress 7', { percent: 7, message: '' }],
    ['progress\t0%', { percent: 0, message: '' }],
    ['progress 250 too far', { percent: 100, message: 'too far' }],
    [`progress ${'9'.repeat(400)}`, { percent: 100, message: '' }],
    [' 45%|████▌     | 45/100 [00:10<00:12,  4.50it/s]', { percent: 45, message: '45/100 [00:10<00:12,  4.50it/s]' }],
    ['train: 100%|##########| 9/9', { percent: 100, message: 'train: 9/9' }],
    ['Epoch 3/10 - loss 0.4', { percent: 30, message: 'Epoch 3/10 - loss 0.4' }],
    ['epoch: 1 of 4', { percent: 25, message: 'epoch: 1 of 4' }],
    ['{"percent": 12.5, "message": "loss 1"}', { percent: 12.5, message: 'loss 1' }],
    ['{"progress": 0.25}', { percent: 25, message: '' }],
    ['{"epoch": 2, "epochs": 8, "loss": 0.1}', { percent: 25, message: '' }],
    ['{"step": 5, "steps": 10, "message": "x"}', { percent: 50, message: 'x' }],
    ['progress 1 a\u0000b\u001b[0m', { percent: 1, message: 'a b [0m' }],
  ])('%j', (line, expected) => expect(parseProgressLine(line)).toEqual(expected))

  test.each([
    ...noProgress,
    '',
    'progress',
    'progress -1',
    'progress of the world',
    ' progress 4',
    'Progress 4',
    'in progress 4',
  ])('%j is no progress', (line) => expect(parseProgressLine(line)).toBeUndefined())

  test('a message is cut after 200 characters and holds no half one', () => {
    const message = parseProgressLine(`progress 1 ${'x'.repeat(199)}😀😀`)?.message ?? ''
    expect(message).toHaveLength(200)
    expect(message.isWellFormed()).toBe(true)
  })
})

describe('output in pieces', () => {
  test('newline, carriage return, both, and no end at all', () =>
    expect(read([Buffer.from('progress 1 a\nnoise\nprogress 2 b\r\nprogress 3 c\rprogress 4 d')])).toEqual([
      { percent: 1, message: 'a' },
      { percent: 2, message: 'b' },
      { percent: 3, message: 'c' },
      { percent: 4, message: 'd' },
    ]))

  test('a line is held back until it ends', () => {
    const lines = progressLines()
    expect(lines.push(Buffer.from('progress 1'))).toEqual([])
    expect(lines.push(Buffer.from('2 half\n'))).toEqual([{ percent: 12, message: 'half' }])
    expect(lines.finish()).toEqual([])
  })

  test('an endless line costs no more than its first 4096 bytes', () => {
    const lines = progressLines()
    for (let piece = 0; piece < 64; piece++) expect(lines.push(Buffer.alloc(65_536, 'x'))).toEqual([])
    expect(lines.push(Buffer.from('\nprogress 5\n'))).toEqual([{ percent: 5, message: '' }])
  })

  // Mostly lines that nearly report progress, and some that are no text at all.
  const output = fc
    .array(
      fc.oneof(
        fc
          .tuple(fc.constantFrom('progress ', 'progress\t', 'progres '), fc.integer({ min: 0, max: 120 }), fc.string())
          .map(([word, percent, message]) => Buffer.from(`${word}${percent}% ${message} größer 😀`)),
        fc.uint8Array({ maxLength: 40 }),
        fc.constantFrom('\n', '\r\n', '\r', '\ufeff').map((text) => Buffer.from(text)),
      ),
      { maxLength: 12 },
    )
    .map((parts) => Buffer.concat(parts.flatMap((part) => [part, Buffer.from('\n')])))

  test('cut anywhere, also inside a character, the same is found, and nothing throws', () =>
    fc.assert(
      fc.property(output, fc.array(fc.nat({ max: 600 }), { maxLength: 20 }), (bytes, cuts) => {
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b)
        const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end))
        expect(read(pieces)).toEqual(read([bytes]))
        expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(read([bytes]))
      }),
      { numRuns: 300 },
    ))

  test('what a job prints is what is found', () =>
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 100 })), (percents) => {
        const bytes = Buffer.from(percents.map((percent) => `progress ${percent} step\n`).join('other\n'))
        expect(read([bytes]).map(({ percent }) => percent)).toEqual(percents)
      }),
    ))
})
