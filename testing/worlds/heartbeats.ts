import type { Heartbeats } from '../../infra/heartbeats/port.ts'

const noop = async () => undefined

/** Heartbeats without a table: they acknowledge all the time since the start, but for the last `silentSeconds()`. */
export const steadyHeartbeats = (silentSeconds: () => number = () => 0): Heartbeats => ({
  begin: noop,
  beat: noop,
  end: noop,
  acknowledged: async (_rental, startedAt, at) =>
    BigInt(Math.floor((Date.parse(at) - Date.parse(startedAt)) / 1000) - silentSeconds()),
})
