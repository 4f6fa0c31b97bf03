import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { MachineTime } from '../system/machine-time.ts'
import type { Heartbeats } from './port.ts'

/** Makes empty heartbeats. */
export type HeartbeatsEngine = (time: () => MachineTime) => Promise<Heartbeats>

/** Milliseconds after the start of a history, as ISO 8601. */
const isoAt = (ms: number) => new Date(Date.parse('2026-01-01T00:00:00.000Z') + ms).toISOString()

/** Makes a machine with a wall clock that can be set, whose scheduler beats. All times are milliseconds. */
const machineWith = async (open: HeartbeatsEngine) => {
  let [trueMs, aheadMs, bootMs, boots] = [0, 0, -5_000, 1]
  const heartbeats = await open(() => ({ clock: `boot-${boots}`, ms: trueMs - bootMs }))
  const wallMs = () => trueMs + aheadMs
  return {
    heartbeats,
    wallMs,
    pass: (ms: number) => {
      trueMs += ms
    },
    set: (byMs: number) => {
      aheadMs += byMs
    },
    reboot: () => {
      bootMs = trueMs
      boots++
    },
    beat: () => heartbeats.beat(isoAt(wallMs())),
    async beats(count: number, everyMs = 1_000) {
      for (let index = 0; index < count; index++) {
        trueMs += everyMs
        await heartbeats.beat(isoAt(trueMs + aheadMs))
      }
    },
    acknowledged: (fromMs: number, untilMs = wallMs()) =>
      heartbeats.acknowledged('r', isoAt(fromMs), isoAt(untilMs)).then(Number),
    isFinal: (untilMs: number) => heartbeats.isFinal(isoAt(untilMs), isoAt(wallMs())),
  }
}

const secondsMs = fc.integer({ min: 1, max: 20 }).map((seconds) => seconds * 1_000)
const step = fc.record({
  silenceMs: fc.oneof(
    { weight: 4, arbitrary: secondsMs },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 60_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(30_000, 30_001) },
  ),
  setMs: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: -300_000, max: 300_000 }).filter((ms) => Math.abs(ms) > 1_000) },
    { weight: 1, arbitrary: fc.constantFrom(7_200_000, -7_200_000) },
  ),
  reboots: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
})

/** A beat of a history: when it was by the wall clock, how long the silence before it was, and by how much the clock was
 *  set in it. */
type Beat = { readonly wallMs: number; readonly silenceMs: number; readonly setMs: number }

/** Declares the cases that every engine of the heartbeats must pass; call it from the engine's own spec. */
export const heartbeatsContract = (open: HeartbeatsEngine): void => {
  describe('heartbeats contract', () => {
    test.each([7_200_000, 31_000, 20_000, -200_000])(
      'a clock that is wrong by %d ms for four seconds makes nothing free that begins after it',
      async (byMs) => {
        const machine = await machineWith(open)
        await machine.beats(100)
        machine.set(byMs)
        await machine.beats(4)
        machine.set(-byMs)
        await machine.beats(2)
        const fromMs = machine.wallMs()
        await machine.beats(60)
        expect(await machine.acknowledged(fromMs)).toBe(60)
        expect(await machine.isFinal(machine.wallMs() + 500)).toBe(false)
        machine.reboot()
        await machine.beats(1)
        const nextMs = machine.wallMs()
        await machine.beats(10)
        expect(await machine.acknowledged(nextMs)).toBe(10)
      },
    )

    test('a clock that was set back does not make a silence look like beats', async () => {
      const machine = await machineWith(open)
      await machine.beats(300)
      machine.set(-200_000)
      await machine.beats(10)
      const fromMs = machine.wallMs()
      await machine.beats(5)
      machine.pass(175_000)
      await machine.beat()
      expect(await machine.acknowledged(fromMs)).toBe(5)
    })

    test.each([-300_000, -20_000, 20_000, 300_000])(
      'what runs while the clock is set by %d ms is never charged twice',
      async (byMs) => {
        const machine = await machineWith(open)
        await machine.beats(1)
        const fromMs = machine.wallMs()
        await machine.beats(400)
        machine.set(byMs)
        await machine.beats(400)
        const seconds = await machine.acknowledged(fromMs)
        expect(seconds).toBe(byMs > 0 ? 799 : 800 + byMs / 1_000)
      },
    )

    test('a restart of the machine within the tolerance counts as any silence', async () => {
      const machine = await machineWith(open)
      await machine.beats(10)
      machine.reboot()
      machine.pass(25_000)
      await machine.beat()
      expect(await machine.acknowledged(0)).toBe(34)
      machine.reboot()
      machine.pass(30_001)
      await machine.beat()
      expect(await machine.acknowledged(0)).toBe(34)
    })

    test('is exact after any history, and never acknowledges more than has run', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          const machine = await machineWith(open)
          await machine.beat()
          const beats: Beat[] = [{ wallMs: machine.wallMs(), silenceMs: 0, setMs: 0 }]
          for (const { silenceMs, setMs, reboots } of steps) {
            machine.pass(silenceMs)
            machine.set(setMs)
            // Nothing has seen how long a silence was in which both happened.
            if (reboots && setMs === 0) machine.reboot()
            await machine.beat()
            beats.push({ wallMs: machine.wallMs(), silenceMs, setMs })
            for (const [index, { wallMs }] of beats.entries()) {
              const later = beats.slice(index + 1)
              const secondsOf = (counted: readonly Beat[]) =>
                Math.floor(
                  counted.reduce((ms, beat) => ms + (beat.silenceMs <= 30_000 ? beat.silenceMs : 0), 0) / 1_000,
                )
              const seconds = await machine.acknowledged(wallMs)
              expect(seconds).toBeLessThanOrEqual(secondsOf(later))
              if (later.every((beat) => beat.setMs >= 0))
                expect(seconds).toBe(secondsOf(later.filter((beat) => beat.setMs === 0)))
            }
            const lastMs = machine.wallMs()
            expect(await machine.isFinal(lastMs)).toBe(true)
            expect(await machine.isFinal(lastMs + 1)).toBe(false)
          }
        }),
        { numRuns: 60 },
      )
    })
  })
}
