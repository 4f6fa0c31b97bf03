import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { chunksOf, inChunks } from './chunks.ts'

test('the parts hold all items in their order, and all but the last are full', () =>
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 10 }), (items, size) => {
      const chunks = chunksOf(items, size)
      expect(chunks.flat()).toEqual(items)
      for (const chunk of chunks.slice(0, -1)) expect(chunk).toHaveLength(size)
      expect(chunks.every((chunk) => chunk.length > 0)).toBe(true)
    }),
  ))

test.each([0, -1, 1.5, Number.NaN])('parts of %s items cannot be made', (size) =>
  expect(() => chunksOf([1], size)).toThrow(RangeError),
)

test('one part is done before the next begins, and a part that fails is the last', async () => {
  const begun: number[][] = []
  let running = 0
  const work = async (chunk: readonly number[]) => {
    begun.push([...chunk])
    running += 1
    expect(running).toBe(1)
    await Promise.resolve()
    running -= 1
    if (chunk.includes(3)) throw new Error('three')
    return chunk.length
  }
  expect(await inChunks([1, 2, 4, 5, 6], 2, work)).toEqual([2, 2, 1])
  begun.length = 0
  await expect(inChunks([1, 2, 3, 4, 5], 2, work)).rejects.toThrow('three')
  expect(begun).toEqual([
    [1, 2],
    [3, 4],
  ])
})
