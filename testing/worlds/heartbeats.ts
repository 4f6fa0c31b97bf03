import type { Heartbeats } from '../../infra/heartbeats/port.ts'

const noop = async () => undefined

/** Heartbeats without a table: they acknowledge all the time since the start, but for the last `silentSeconds()`. */
export const steadyHeartbeats = (silentSeconds: () => number = () => 0): Heartbeats => ({
  beat: noop,
  isFinal: async () => true,
  acknowledged: async (_rental, startedAt, until) =>
    BigInt(Math.floor((Date.parse(until) - Date.parse(startedAt)) / 1000) - silentSeconds()),
})

const toleranceMs = 30_000

/** Heartbeats in memory, as plain as their definition: the time between two beats counts unless it is longer than 30
 *  seconds. */
export const heartbeatsInMemory = (): Heartbeats => {
  const beats: number[] = []
  const lastMs = () => beats.at(-1)
  return {
    beat: async (at) => {
      const last = lastMs()
      if (last === undefined || Date.parse(at) > last) beats.push(Date.parse(at))
    },
    isFinal: async (until, now) => {
      const last = lastMs()
      return last === undefined || last >= Date.parse(until) || Date.parse(now) - last > toleranceMs
    },
    acknowledged: async (_rental, startedAt, until) => {
      let ms = 0
      for (const [index, beat] of beats.entries()) {
        const before = beats[index - 1] ?? beat
        const counted = Math.min(beat, Date.parse(until)) - Math.max(before, Date.parse(startedAt))
        if (beat - before <= toleranceMs && counted > 0) ms += counted
      }
      return BigInt(Math.floor(ms / 1000))
    },
  }
}
