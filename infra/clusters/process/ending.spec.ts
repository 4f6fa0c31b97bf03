import { expect, test } from '@jest/globals'
import { createEndingWatch } from './ending.ts'

const hiddenMsMax = 1_000
const pidsFrom = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index)

test('a job whose processes end in time may have any number of them, one after the other', () => {
  const watch = createEndingWatch(hiddenMsMax)
  for (let look = 0; look < 1_000; look++) expect(watch(pidsFrom(64 * look, 64), 250 * look)).toBeUndefined()
})

test('some may take their time, but not for ever', () => {
  const watch = createEndingWatch(hiddenMsMax)
  for (let ms = 0; ms <= 30_000; ms += 250) expect(watch(pidsFrom(1, 8), ms)).toBeUndefined()
  expect(watch([8], 30_250)).toMatch('do not end')
})

test('many that take their time hide too much', () => {
  const watch = createEndingWatch(hiddenMsMax)
  expect(watch(pidsFrom(1, 9), 0)).toBeUndefined()
  expect(watch(pidsFrom(1, 9), hiddenMsMax)).toBeUndefined()
  expect(watch(pidsFrom(1, 9), hiddenMsMax + 1)).toMatch('do not end')
})

test('one that is met again after a look without it has come anew', () => {
  const watch = createEndingWatch(hiddenMsMax)
  watch([1], 0)
  watch([], 20_000)
  watch([1], 25_000)
  expect(watch([1], 40_000)).toBeUndefined()
})
