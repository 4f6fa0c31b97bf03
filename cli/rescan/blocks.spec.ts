import { describe, expect, test } from '@jest/globals'
import { lastBlock, readBlocks } from './blocks.ts'

const cursor = { name: '31337:0xabc', block: 57n }
const last = (options: Parameters<typeof readBlocks>[0]) => lastBlock(readBlocks(options), cursor)

describe('the blocks of a rescan', () => {
  test.each([
    [{}, 57n],
    [{ from: '0', to: '100' }, 57n],
    [{ from: '57' }, 57n],
    [{ from: '3', to: '3' }, 3n],
  ])('%j end at %d', (options, block) => expect(last(options)).toBe(block))

  test.each([
    [
      { from: '5000', to: '6000' },
      { from: '5000', takes: '0 to 57, the final blocks of 31337:0xabc that were read' },
    ],
    [
      { from: '6', to: '5' },
      { from: '6', to: '5', takes: '--from at or before --to' },
    ],
    [{ to: '0x5' }, { to: '0x5', takes: 'the number of a block' }],
    [{ from: '-1' }, { from: '-1', takes: 'the number of a block' }],
  ])('%j are refused', (options, details) =>
    expect(() => last(options)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID', details })),
  )
})
