import { expect, test } from '@jest/globals'
import { createSnapshot } from './snapshot.ts'

test('a value is read once for all who ask while it is read, and kept for its time', async () => {
  let reads = 0
  const read = async () => {
    reads += 1
    return reads
  }
  const kept = createSnapshot(read, 60_000)
  expect(await Promise.all([kept(), kept(), kept()])).toEqual([1, 1, 1])
  expect(await kept()).toBe(1)
  const fresh = createSnapshot(read, 0)
  expect(await Promise.all([fresh(), fresh()])).toEqual([2, 2])
  expect(await fresh()).toBe(3)
})
