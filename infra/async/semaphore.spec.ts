import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createSemaphore } from './semaphore.ts'

test('at most so many run at once, in the order they came, also when some fail', () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.boolean(), { maxLength: 12 }), async (max, fails) => {
      const limited = createSemaphore(max)
      const begun: number[] = []
      let running = 0
      const results = await Promise.allSettled(
        fails.map((fail, index) =>
          limited(async () => {
            begun.push(index)
            running += 1
            expect(running).toBeLessThanOrEqual(max)
            await new Promise(setImmediate)
            running -= 1
            if (fail) throw new Error(String(index))
            return index
          }),
        ),
      )
      expect(begun).toEqual(fails.map((_, index) => index))
      expect(results.map(({ status }) => status === 'rejected')).toEqual(fails)
    }),
  ))

test('keys take turns in a circle: one that waits for little is not behind one that waits for much', async () => {
  const limited = createSemaphore(1)
  const begun: string[] = []
  const ask = (key: string) => limited(async () => void begun.push(key), key)
  await Promise.all([...Array.from({ length: 6 }, () => ask('much')), ask('little'), ask('other'), ask('little')])
  expect(begun.slice(0, 6)).toEqual(['much', 'much', 'little', 'other', 'much', 'little'])
})
