// Revenue by GPU model and hour, as it was and as it would have been under another price rule:
//   npm run replay -- analysis/revenue-by-gpu.ts
// Each charge is spread over the hours in which the rental ran. The price rule gives the cost of the whole run so far,
// and an hour earns the increase of that cost. So the sums of all hours are exactly the totals of the invoices,
// wherever the hours cut the run, and however the rule rounds.

import { add, costOf, type Money, money as moneyOf, subtract, times } from '../domain/money.ts'
import { integer, lookup, moment, money, replay, table, text } from './replay.ts'

const asset = 'USDC/6'
const hourMs = 3_600_000n

export type Lease = { readonly gpu: string; readonly gpuCount: bigint; readonly pricePerGpuHour: Money }

/** Returns the cost of a run of so many seconds. It must not fall when the run gets longer. */
export type PriceRule = (lease: Lease, runSeconds: bigint) => Money

/** Returns the fee by the platform's own rule: the price per hour of all GPUs, by the second, rounded down once. */
export const bySecond: PriceRule = ({ pricePerGpuHour, gpuCount }, runSeconds) =>
  costOf(times(pricePerGpuHour, gpuCount), runSeconds)

/** Makes the rule under which one model costs so many percent more. */
export const dearer =
  (gpu: string, percent: bigint): PriceRule =>
  (lease, runSeconds) => {
    if (lease.gpu !== gpu) return bySecond(lease, runSeconds)
    const { amount, asset } = lease.pricePerGpuHour
    return bySecond({ ...lease, pricePerGpuHour: moneyOf((amount * (100n + percent)) / 100n, asset) }, runSeconds)
  }

/** Returns the fee by a rule that charges each started minute. */
export const byStartedMinute: PriceRule = (lease, runSeconds) => bySecond(lease, ((runSeconds + 59n) / 60n) * 60n)

const millis = (time: string): bigint => BigInt(Date.parse(time))
const moments = (ms: bigint): string => new Date(Number(ms)).toISOString()

type Part = { readonly hour: string; readonly runSeconds: bigint }

/** Cuts a metered period at the full hours, and returns the length of the whole run at the end of each part. Only the
 *  running time within a period is acknowledged, not its moments, so the run is spread evenly. */
export const hoursOf = (from: string, to: string, before: bigint, after: bigint): Part[] => {
  const [start, end] = [millis(from), millis(to)]
  const parts: Part[] = []
  for (let hour = start - (start % hourMs); hour < end || parts.length === 0; hour += hourMs) {
    const until = hour + hourMs < end ? hour + hourMs : end
    const share = end > start ? ((after - before) * (until - start)) / (end - start) : after - before
    parts.push({ hour: moments(hour), runSeconds: before + share })
  }
  return parts
}

/** Makes the replay under a price rule. */
export const revenueByGpu = (rule: PriceRule) =>
  replay({
    tables: {
      /** The terms of each rental, and how far it was metered. */
      rentals: lookup({
        key: { rental: text() },
        columns: {
          gpu: text(),
          gpuCount: integer(),
          pricePerGpuHour: money(asset),
          runSeconds: integer(),
          meteredAt: moment(),
        },
      }),
      revenue: table({
        key: { gpu: text(), hour: moment() },
        columns: { gpuSeconds: integer(), charged: money(asset), underRule: money(asset) },
      }),
    },
    fold: {
      RentalRequested: ({ rentals }, { gpuCount, maxPricePerGpuHour, requestedAt }, { id }) =>
        rentals.set({
          rental: id,
          gpu: '',
          gpuCount: BigInt(gpuCount),
          pricePerGpuHour: maxPricePerGpuHour,
          runSeconds: 0n,
          meteredAt: requestedAt,
        }),
      RentalActivated: ({ rentals }, { gpu, pricePerGpuHour, startedAt }, { id }) => {
        const rental = rentals.get({ rental: id })
        if (rental) rentals.set({ ...rental, gpu, pricePerGpuHour, meteredAt: startedAt })
      },
      UsageMetered: ({ rentals, revenue }, { runSeconds, meteredAt }, { id }) => {
        const rental = rentals.get({ rental: id })
        if (!rental) throw new Error(`rental ${id} was never requested`)
        let before = rental.runSeconds
        for (const part of hoursOf(rental.meteredAt, meteredAt, before, runSeconds)) {
          const increase = (price: PriceRule) => subtract(price(rental, part.runSeconds), price(rental, before))
          const key = { gpu: rental.gpu, hour: part.hour }
          const row = revenue.get(key) ?? { gpuSeconds: 0n, charged: moneyOf(0n, asset), underRule: moneyOf(0n, asset) }
          revenue.set({
            ...key,
            gpuSeconds: row.gpuSeconds + (part.runSeconds - before) * rental.gpuCount,
            charged: add(row.charged, increase(bySecond)),
            underRule: add(row.underRule, increase(rule)),
          })
          before = part.runSeconds
        }
        rentals.set({ ...rental, runSeconds, meteredAt })
      },
    },
  })

/** The revenue if H100s had cost 10 % more. */
export default revenueByGpu(dearer('H100', 10n))
