import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { usdc } from '../domain/money.testing.ts'
import { costOf, subtract, times } from '../domain/money.ts'
import { bySecond, byStartedMinute, dearer, hoursOf, type PriceRule } from './revenue-by-gpu.ts'

const lease = { gpu: 'H100', gpuCount: 2n, pricePerGpuHour: usdc(3_600_007n) }
const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 9, 59, seconds)).toISOString()

describe('a metered period', () => {
  test('is cut at the full hours', () =>
    expect(hoursOf(at(0), at(120), 30n, 150n)).toEqual([
      { hour: '2026-01-01T09:00:00.000Z', runSeconds: 90n },
      { hour: '2026-01-01T10:00:00.000Z', runSeconds: 150n },
    ]))
  test('that ran less than it lasted is spread evenly', () =>
    expect(hoursOf(at(0), at(120), 0n, 61n).map(({ runSeconds }) => runSeconds)).toEqual([30n, 61n]))
  test('of no time is in one hour, and so is one that ends with the hour', () => {
    expect(hoursOf(at(0), at(0), 5n, 7n)).toEqual([{ hour: '2026-01-01T09:00:00.000Z', runSeconds: 7n }])
    expect(hoursOf(at(0), at(60), 0n, 60n)).toHaveLength(1)
  })

  test.each([
    ['by the second', bySecond],
    ['dearer', dearer('H100', 10n)],
    ['by the minute', byStartedMinute],
  ])('loses no minor unit to its cuts: %s', (_name, rule: PriceRule) =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 8 }),
        fc.nat(3_600),
        (runs, offset) => {
          let sum = usdc(0n)
          let [before, second] = [0n, offset]
          for (const run of runs) {
            for (const { runSeconds } of hoursOf(at(second), at(second + run), before, before + BigInt(run))) {
              sum = usdc(sum.amount + subtract(rule(lease, runSeconds), rule(lease, before)).amount)
              before = runSeconds
            }
            second += run
          }
          expect(sum).toEqual(rule(lease, before))
          expect(before).toBe(BigInt(second - offset))
        },
      ),
    ),
  )
})

describe('a price rule', () => {
  test('of the platform is the floor of the whole run', () =>
    expect(bySecond(lease, 1_234n)).toEqual(costOf(times(lease.pricePerGpuHour, 2n), 1_234n)))
  test('may make one model dearer, and no other', () => {
    expect(dearer('H100', 10n)(lease, 3_600n)).toEqual(usdc(2n * 3_960_007n))
    expect(dearer('A100', 10n)(lease, 3_600n)).toEqual(bySecond(lease, 3_600n))
  })
  test('may charge for each minute that was begun', () => {
    expect(byStartedMinute(lease, 61n)).toEqual(bySecond(lease, 120n))
    expect(byStartedMinute(lease, 0n)).toEqual(usdc(0n))
  })
})
