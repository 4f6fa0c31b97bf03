import { expect, test } from '@jest/globals'
import { createTroubles } from './troubles.ts'

const limits = { pauseMsMin: 10, pauseMsMax: 35 }

test('each failure makes a longer pause, up to the longest', () => {
  let now = 0
  const troubles = createTroubles(limits, () => now)
  expect([1, 2, 3, 4].map(() => troubles.failed('job'))).toEqual([10, 20, 35, 35])
  expect(troubles.isPaused('job')).toBe(true)
  expect(troubles.isPaused('other')).toBe(false)
  now = 35
  expect(troubles.isPaused('job')).toBe(false)
})

test('a failure long ago is forgotten', () => {
  let now = 0
  const troubles = createTroubles(limits, () => now)
  troubles.failed('first')
  troubles.failed('second')
  expect(troubles.count).toBe(2)
  now = 200
  expect(troubles.count).toBe(0)
  expect(troubles.failed('first')).toBe(10)
})

test('a hundred thousand failures are not all remembered', () => {
  const troubles = createTroubles(limits, () => 0)
  for (let number = 0; number < 100_000; number++) troubles.failed(`job ${number}`)
  expect(troubles.count).toBeLessThanOrEqual(10_000)
  expect(troubles.isPaused('job 99999')).toBe(true)
})
