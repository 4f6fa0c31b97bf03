import { clockDriftMsMax, type Heartbeats, lateBeatMsMax, silenceMsMax } from '../../infra/heartbeats/port.ts'
import type { MachineTime } from '../../infra/system/machine-time.ts'

const noop = async () => undefined

/** Heartbeats without a table: they acknowledge all the time since the start, but for the last `silentSeconds()`. */
export const steadyHeartbeats = (silentSeconds: () => number = () => 0): Heartbeats => ({
  beat: noop,
  isFinal: async () => true,
  acknowledged: async (_rental, startedAt, until) =>
    BigInt(Math.floor((Date.parse(until) - Date.parse(startedAt)) / 1000) - silentSeconds()),
})

type Span = { readonly clock: string; sinceMs: number; untilMs: number; beatenMs: number; readonly aheadMs: number }

/** Heartbeats in memory. Without a time of the machine, the wall clock is never set. */
export const heartbeatsInMemory = (time?: () => MachineTime): Heartbeats => {
  const spans: Span[] = []
  const lastMs = (nowMs: number) => Math.max(...spans.filter((span) => span.sinceMs <= nowMs).map((one) => one.untilMs))
  const begin = (atMs: number, { clock, ms }: MachineTime) => {
    const others = spans.map((span) => span.untilMs).filter((untilMs) => untilMs <= atMs)
    const isFirst = spans.every((span) => span.clock !== clock)
    const sinceMs = isFirst && atMs - Math.max(...others) <= silenceMsMax ? Math.max(...others) : atMs
    for (const span of spans) span.untilMs = Math.min(span.untilMs, sinceMs)
    spans.push({ clock, sinceMs, untilMs: atMs, beatenMs: ms, aheadMs: atMs - ms })
  }
  return {
    beat: async (at) => {
      const atMs = Date.parse(at)
      const machine = time?.() ?? { clock: 'wall', ms: atMs }
      const latest = spans.findLast((span) => span.clock === machine.clock)
      const silentMs = latest && machine.ms - latest.beatenMs
      if (silentMs !== undefined && silentMs <= 0 && silentMs >= -lateBeatMsMax) return
      const isSet = latest && Math.abs(atMs - machine.ms - latest.aheadMs) > clockDriftMsMax
      if (!latest || silentMs === undefined || silentMs < 0 || silentMs > silenceMsMax || isSet) begin(atMs, machine)
      else Object.assign(latest, { untilMs: Math.max(latest.untilMs, atMs), beatenMs: machine.ms })
    },
    isFinal: async (until, now) => {
      const last = lastMs(Date.parse(now))
      return last === Number.NEGATIVE_INFINITY || last >= Date.parse(until) || Date.parse(now) - last > silenceMsMax
    },
    acknowledged: async (_rental, startedAt, until) => {
      let [ms, countedMs] = [0, Date.parse(startedAt)]
      for (const { sinceMs, untilMs } of spans.toSorted((a, b) => a.sinceMs - b.sinceMs)) {
        const fromMs = Math.max(sinceMs, countedMs)
        const toMs = Math.min(untilMs, Date.parse(until))
        ms += Math.max(toMs - fromMs, 0)
        countedMs = Math.max(countedMs, toMs)
      }
      return BigInt(Math.floor(ms / 1000))
    },
  }
}
