import { expect, test } from '@jest/globals'
import { mapAtOnce } from './at-once.ts'

test('so many are under way at once, the next begins as one ends, and results keep their order', async () => {
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<number>())
  const begun: number[] = []
  const all = mapAtOnce([0, 1, 2, 3, 4], 2, (item) => {
    begun.push(item)
    return gates[item]?.promise ?? Promise.resolve(-1)
  })
  const end = async (item: number) => {
    gates[item]?.resolve(item * 10)
    await new Promise(setImmediate)
    return begun.length
  }
  expect([await end(1), await end(2), await end(0), await end(3), await end(4)]).toEqual([3, 4, 5, 5, 5])
  expect(await all).toEqual([0, 10, 20, 30, 40])
  expect(await mapAtOnce([], 2, async () => 1)).toEqual([])
})

test('after one that fails none is begun', async () => {
  const begun: number[] = []
  const work = async (item: number) => {
    begun.push(item)
    await new Promise(setImmediate)
    if (item === 1) throw new Error('it fails')
  }
  await expect(mapAtOnce([0, 1, 2, 3, 4, 5], 2, work)).rejects.toThrow('it fails')
  await new Promise(setImmediate)
  expect(begun.length).toBeLessThanOrEqual(3)
})
