import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { createLater } from './later.ts'

beforeEach(() => {
  jest.useFakeTimers()
})
afterEach(() => {
  jest.useRealTimers()
})

test('work is done once for all that asked until then, and again for who asks afterwards', () => {
  const work = jest.fn()
  const later = createLater(work)
  later.ask(100)
  jest.advanceTimersByTime(60)
  later.ask(100)
  jest.advanceTimersByTime(40)
  expect(work).toHaveBeenCalledTimes(1)
  jest.advanceTimersByTime(1_000)
  expect(work).toHaveBeenCalledTimes(1)
  later.ask(100)
  jest.advanceTimersByTime(100)
  expect(work).toHaveBeenCalledTimes(2)
})

test('work may ask for itself again, and is not done once it was cancelled', () => {
  const work = jest.fn(() => later.ask(100))
  const later = createLater(work)
  later.ask(100)
  jest.advanceTimersByTime(350)
  expect(work).toHaveBeenCalledTimes(3)
  later.cancel()
  jest.advanceTimersByTime(1_000)
  expect(work).toHaveBeenCalledTimes(3)
})
