import { expect, test } from '@jest/globals'
import { within } from './within.ts'

const never = new Promise<string>(() => undefined)

test('what is done in time counts, and nothing is late', async () => {
  let lates = 0
  const late = () => {
    lates += 1
    return 'late'
  }
  expect(await within(Promise.resolve('done'), 5, late)).toBe('done')
  await expect(within(Promise.reject(new Error('failed')), 5, late)).rejects.toThrow('failed')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(lates).toBe(0)
})

test('what takes longer is late: that may also throw', async () => {
  expect(await within(never, 5, () => 'late')).toBe('late')
  const late = () => {
    throw new Error('late')
  }
  await expect(within(never, 5, late)).rejects.toThrow('late')
})
