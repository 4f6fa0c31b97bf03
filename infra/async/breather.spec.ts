import { expect, test } from '@jest/globals'
import { createBreather } from './breather.ts'

test('lets other work run once the loop has run for long enough, and then from anew', async () => {
  let time = 0
  let others = 0
  const breathe = createBreather(() => time)
  const other = () => {
    others += 1
    if (others < 10) setImmediate(other)
  }
  setImmediate(other)
  const seen: number[] = []
  for (const step of [4, 4, 4, 4, 4, 4]) {
    time += step
    await breathe()
    seen.push(others)
  }
  expect(seen[1]).toBe(0)
  expect(seen[2]).toBeGreaterThan(0)
  expect(seen[4]).toBe(seen[2])
  expect(seen[5]).toBeGreaterThan(seen[4] ?? 0)
})
