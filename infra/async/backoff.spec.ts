import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createBackoff } from './backoff.ts'

test('pauses double up to the longest, and begin again after a reset', () => {
  const backoff = createBackoff({ minMs: 200, maxMs: 1_000 })
  expect(backoff.isFresh).toBe(true)
  expect([backoff.take(), backoff.take(), backoff.take(), backoff.take(), backoff.take()]).toEqual([
    200, 400, 800, 1_000, 1_000,
  ])
  expect(backoff.isFresh).toBe(false)
  backoff.reset()
  expect([backoff.isFresh, backoff.nextMs, backoff.take(), backoff.take()]).toEqual([true, 200, 200, 400])
})

test('no pause is shorter than the shortest or longer than the longest', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 100, max: 10_000 }), (minMs, maxMs) => {
      const backoff = createBackoff({ minMs, maxMs })
      const pauses = Array.from({ length: 40 }, backoff.take)
      expect(pauses).toEqual(pauses.toSorted((a, b) => a - b))
      expect([pauses[0], pauses.at(-1)]).toEqual([minMs, maxMs])
    }),
  ))

test('a pause ends when the signal aborts', async () => {
  const backoff = createBackoff({ minMs: 60_000, maxMs: 60_000 })
  const stop = new AbortController()
  const pausing = backoff.pause(stop.signal)
  stop.abort()
  await pausing
  await backoff.pause(stop.signal)
})
