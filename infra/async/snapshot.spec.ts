import { expect, test } from '@jest/globals'
import { sleep } from './sleep.ts'
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

test('nobody waits longer than its limit for a reading that never ends, and one alone is under way', async () => {
  let reads = 0
  let answer: ((value: string) => void) | undefined
  const read = () => {
    reads += 1
    return new Promise<string>((resolve) => {
      answer = resolve
    })
  }
  const kept = createSnapshot(read, 60_000, { msMax: 30, value: () => 'late' })
  expect(await Promise.all([kept(), kept()])).toEqual(['late', 'late'])
  expect(await kept()).toBe('late')
  expect(reads).toBe(1)
  answer?.('in the end')
  expect(await kept()).toBe('in the end')
})

test('a reading that is lost gives way to another one', async () => {
  let reads = 0
  const read = () => (++reads === 1 ? new Promise<string>(() => undefined) : Promise.resolve('back'))
  const kept = createSnapshot(read, 60_000, { msMax: 5, value: () => 'late' })
  expect(await kept()).toBe('late')
  await sleep(120)
  expect(await kept()).toBe('back')
})
