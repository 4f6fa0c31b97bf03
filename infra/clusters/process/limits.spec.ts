import { expect, test } from '@jest/globals'
import { parseCpuList, pickCpus } from './limits.ts'

test.each([
  ['0-1', [0, 1]],
  ['3', [3]],
  ['0-2,5,8-9\n', [0, 1, 2, 5, 8, 9]],
  ['', []],
])('cores %j', (text, cores) => expect(parseCpuList(text)).toEqual(cores))

test('jobs get the cores round robin', () => {
  expect(pickCpus([0, 1, 4, 5], 1, 0)).toEqual([0])
  expect(pickCpus([0, 1, 4, 5], 1, 1)).toEqual([1])
  expect(pickCpus([0, 1, 4, 5], 2, 3)).toEqual([5, 0])
  expect(pickCpus([0, 1, 4, 5], 1.5, 2)).toEqual([4, 5])
})

test('a request for all cores or more gets all', () => {
  expect(pickCpus([0, 1], 2, 0)).toBeUndefined()
  expect(pickCpus([0, 1], 64, 1)).toBeUndefined()
})
