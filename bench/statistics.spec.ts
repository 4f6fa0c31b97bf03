import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { median, orderOfRound, quantile } from './statistics.ts'

describe('statistics of rounds', () => {
  test('the median of an odd and of an even number of rounds, in whatever order they came', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([10, 1, 2, 9])).toBe(5.5)
    expect(median([])).toBeNaN()
  })

  test('a quantile lies between its neighbours', () => {
    expect(quantile([10, 20, 30, 40, 50], 0.9)).toBe(46)
    expect(quantile([10, 20], 0)).toBe(10)
    expect(quantile([10, 20], 1)).toBe(20)
  })

  test('a quantile never leaves the samples, and more of them lie below a higher one', () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 30 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (samples, p) => {
          const value = quantile(samples, p)
          expect(value).toBeGreaterThanOrEqual(Math.min(...samples))
          expect(value).toBeLessThanOrEqual(Math.max(...samples))
          expect(value).toBeLessThanOrEqual(quantile(samples, 1))
          expect(value).toBeGreaterThanOrEqual(quantile(samples, p / 2))
        },
      ),
    ))

  test('in as many rounds as there are contestants each comes once at each place', () => {
    const orders = [0, 1, 2].map((round) => orderOfRound(round, 3))
    expect(orders).toEqual([
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
    ])
  })
})
