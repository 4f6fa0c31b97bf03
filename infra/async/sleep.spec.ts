import { expect, test } from '@jest/globals'
import { sleep } from './sleep.ts'

test('ends after its time, or when it is aborted, and never throws', async () => {
  const began = performance.now()
  await sleep(20)
  expect(performance.now() - began).toBeGreaterThan(15)
  const stop = new AbortController()
  const sleeping = sleep(60_000, stop.signal)
  stop.abort()
  await sleeping
  await sleep(60_000, stop.signal)
})
