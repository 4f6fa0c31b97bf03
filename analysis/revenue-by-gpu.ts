// Revenue by GPU model and hour, as it was and as it would have been under another price rule:
//   npm run replay -- analysis/revenue-by-gpu.ts
// Each charge is spread over the hours in which the rental ran. What a run costs is the price rule of the whole run so far;
// what an hour earns is how much that has grown in it. So the sums of all hours are exactly the totals of the invoices,
// however the hours cut the run, and whatever the rule rounds.

import { add, costOf, type Money, money as moneyOf, subtract, times } from '../domain/money.ts'
import { integer, lookup, moment, money, replay, table, text } from './replay.ts'

const asset = 'USDC/6'
const hourMs = 3_600_000n

export type Lease = { readonly gpu: string; readonly gpuCount: bigint; readonly pricePerGpuHour: Money }

/** What a run of so many seconds costs in all. It must not fall when the run gets longer. */
export type PriceRule = (lease: Lease, runSeconds: bigint) => Money

/** The rule of the platform: the price per hour of all GPUs, by the second, rounded down once. */
export const bySecond: PriceRule = ({ pricePerGpuHour, gpuCount }, runSeconds) =>
  costOf(times(pricePerGpuHour, gpuCount), runSeconds)

/** As if one model had cost so many percent more. */
export const dearer =
  (gpu: string, percent: bigint): PriceRule =>
  (lease, runSeconds) => {
    if (lease.gpu !== gpu) return bySecond(lease, runSeconds)
    const { amount, asset } = lease.pricePerGpuHour
    return bySecond({ ...lease, pricePerGpuHour: moneyOf((amount * (100n + percent)) / 100n, asset) }, runSeconds)
  }

/** As if each minute that was begun had been paid for. */
export const byStartedMinute: PriceRule = (lease, runSeconds) => bySecond(lease, ((runSeconds + 59n) / 60n) * 60n)

const millis = (time: string): bigint => BigInt(Date.parse(time))
const moments = (ms: bigint): string => new Date(Number(ms)).toISOString()

type Part = { readonly hour: string; readonly runSeconds: bigint }

/** Cuts a metered period at the full hours: how long the run was in all at the end of each part. The provider acknowledges
 *  how long a period ran, not when in it, so the run is spread evenly. */
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

/** The replay under a rule of one's own. */
export const revenueByGpu = (rule: PriceRule) =>
  replay({
    tables: {
      /** What must be known of a rental to charge for it. */
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
          const grown = (price: PriceRule) => subtract(price(rental, part.runSeconds), price(rental, before))
          const key = { gpu: rental.gpu, hour: part.hour }
          const row = revenue.get(key) ?? { gpuSeconds: 0n, charged: moneyOf(0n, asset), underRule: moneyOf(0n, asset) }
          revenue.set({
            ...key,
            gpuSeconds: row.gpuSeconds + (part.runSeconds - before) * rental.gpuCount,
            charged: add(row.charged, grown(bySecond)),
            underRule: add(row.underRule, grown(rule)),
          })
          before = part.runSeconds
        }
        rentals.set({ ...rental, runSeconds, meteredAt })
      },
    },
  })

/** What we would have earned if H100s had cost 10 % more. */
export default revenueByGpu(dearer('H100', 10n))
