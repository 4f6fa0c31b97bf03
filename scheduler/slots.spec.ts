import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { capsOf } from './caps.ts'
import { createSlots } from './slots.ts'

test('of each rental as many jobs run as it has GPUs, in their order, and none waits for ever', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ rental: fc.constantFrom('r', 's'), job: fc.nat({ max: 9 }), does: fc.nat({ max: 3 }) }), {
        maxLength: 60,
      }),
      (slotsMax, steps) => {
        const slots = createSlots()
        const of = (rental: string) => ({ rental, running: new Set<string>(), called: new Set<string>() })
        const rentals = { r: of('r'), s: of('s') }
        const waiting = { r: new Set<string>(), s: new Set<string>() }
        for (const { rental, job: number, does } of steps) {
          const { running, called } = rentals[rental]
          const job = `${rental}${number}`
          const release = (one: string) => {
            for (const next of slots.release(one)) {
              expect(next).toBe([...waiting[rental]][0])
              waiting[rental].delete(next)
              called.add(next)
            }
          }
          if (does < 2) {
            const mayRun = called.has(job) || running.has(job)
            const took = slots.take(rental, job, slotsMax)
            if (mayRun) expect(took).toBe(true)
            if (took) running.add(job)
            else waiting[rental].add(job)
            called.delete(job)
          } else if (running.delete(job) || called.delete(job)) release(job)
          expect(slots.has(job)).toBe(running.has(job))
          expect(running.size + called.size).toBeLessThanOrEqual(slotsMax)
          if (waiting[rental].size > 0) expect(running.size + called.size).toBe(slotsMax)
        }
        expect(new Set(slots.holders())).toEqual(new Set([...rentals.r.running, ...rentals.s.running]))
      },
    ),
  ))

test('a job that runs already holds its slot, and the others wait', () => {
  const slots = createSlots()
  slots.hold('r', 'a')
  expect(slots.take('r', 'b', 1)).toBe(false)
  expect(slots.take('r', 'c', 1)).toBe(false)
  expect(slots.release('unknown')).toEqual([])
  expect(slots.release('a')).toEqual(['b'])
  expect(slots.take('r', 'd', 1)).toBe(false)
  expect(slots.release('b')).toEqual(['c'])
  expect(slots.take('r', 'c', 1)).toBe(true)
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
