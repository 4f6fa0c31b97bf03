import { expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
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

test('no pause is long while the log is away, however often it was', () => {
  const troubles = createTroubles({ pauseMsMin: 5_000, pauseMsMax: 600_000 }, () => 0)
  const away = new Failure('DATABASE_UNAVAILABLE')
  expect([1, 2, 3, 4, 5, 6].map(() => troubles.failed('job', away))).toEqual([5_000, ...Array(5).fill(10_000)])
  expect(troubles.failed('job', new Failure('CLUSTER_UNAVAILABLE'))).toBe(320_000)
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
