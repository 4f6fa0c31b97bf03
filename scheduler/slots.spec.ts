import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { capsOf } from './caps.ts'
import { createSlots } from './slots.ts'

test('of each rental as many jobs run as it has GPUs, whatever the order, and none waits for ever', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ rental: fc.constantFrom('r', 's'), job: fc.nat({ max: 9 }), end: fc.boolean() }), {
        maxLength: 60,
      }),
      (slotsMax, steps) => {
        const slots = createSlots()
        const running = { r: new Set<string>(), s: new Set<string>() }
        const waiting = { r: new Set<string>(), s: new Set<string>() }
        const start = (rental: 'r' | 's', job: string) => {
          const took = slots.take(rental, job, slotsMax)
          ;(took ? running : waiting)[rental].add(job)
          if (took) waiting[rental].delete(job)
        }
        for (const { rental, job: number, end } of steps) {
          const job = `${rental}${number}`
          if (!end) start(rental, job)
          else if (running[rental].delete(job)) for (const next of slots.release(job)) start(rental, next)
          expect(running[rental].size).toBeLessThanOrEqual(slotsMax)
          if (waiting[rental].size > 0) expect(running[rental].size).toBe(slotsMax)
        }
      },
    ),
  ))

test('a job that runs already holds its slot, and the others wait', () => {
  const slots = createSlots()
  slots.hold('r', 'a')
  expect(slots.take('r', 'b', 1)).toBe(false)
  expect(slots.take('r', 'c', 1)).toBe(false)
  expect(slots.release('unknown')).toEqual([])
  expect(slots.release('a')).toEqual(['b', 'c'])
})

test('a part of the GPUs has that part of cores and memory', async () => {
  const { commands } = await createActiveRental({ listedGpus: 8, gpuCount: 1 })
  const { state } = await commands.current('listing', 'h100')
  if (state.status === 'none') throw new Error('it is listed')
  const listing = { ...state, vcpus: 44, memoryMib: 1000 }
  expect(capsOf(listing, 1)).toEqual({ cpuCores: 5, memoryMib: 125 })
  expect(capsOf(listing, 3)).toEqual({ cpuCores: 16, memoryMib: 375 })
  expect(capsOf(listing, 80)).toEqual({ cpuCores: 44, memoryMib: 1000 })
  expect(capsOf({ ...listing, vcpus: 1, memoryMib: 0 }, 1)).toEqual({
    cpuCores: 1,
    memoryMib: Number.POSITIVE_INFINITY,
  })
})
