import { within } from './within.ts'

/** How many times longer than all wait for it a reading is waited for, before another one begins beside it. */
const waitsMax = 20

/** Makes a function that reads a value at most once in `ageMs`, and for all callers at that time at once. With `late`
 *  no caller waits longer than `msMax` for a reading: it gets `value()` then, while the same reading goes on. */
export const createSnapshot = <Value>(
  read: () => Promise<Value>,
  ageMs: number,
  late?: { readonly msMax: number; readonly value: () => Value },
): (() => Promise<Value>) => {
  let last: { readonly value: Promise<Value>; readonly beganMs: number; untilMs: number } | undefined
  return () => {
    const nowMs = performance.now()
    if (last === undefined || nowMs >= last.untilMs) {
      const untilMs = late ? nowMs + late.msMax * waitsMax : Number.POSITIVE_INFINITY
      const taken = { value: read(), beganMs: nowMs, untilMs }
      last = taken
      const ends = () => {
        taken.untilMs = performance.now() + ageMs
      }
      taken.value.then(ends, ends)
    }
    const { value, beganMs } = last
    return late ? within(value, Math.max(beganMs + late.msMax - nowMs, 0), late.value) : value
  }
}
