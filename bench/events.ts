import type { NewEvent } from '../infra/event-store/port.ts'

/** What all contestants append and read: the lives of rentals as the platform writes them, the same events
 *  each time. One event is about 400 characters of JSON, data and metadata together. */

/** Rentals that run at the same time. Their events are interleaved in the log, as when all are metered every 5
 *  minutes. */
export const rentalsAtOnce = 1_000

const chargePeriodSeconds = 300
const pricePerGpuHour = 2_000_000n
const gpuCount = 2
const begin = Date.UTC(2026, 0, 1)
/** Longer than any run that is measured. */
const rentedSeconds = 10_000_000_000n

const mix = (seed: number): number => {
  let mixed = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

const hexOf = (word: number): string => word.toString(16).padStart(8, '0')

/** Returns a UUID that looks random, as the ids of commands do. */
const uuidOf = (rental: number, revision: number, salt: number): string => {
  const [a, b] = [mix(rental * 4 + salt), mix(revision ^ 0x5bd1e995)]
  const [c, d] = [hexOf(mix(a ^ Math.imul(b, 0x9e3779b1))), hexOf(mix(b ^ Math.imul(a, 0x27d4eb2f)))]
  return `${hexOf(mix(a + revision))}-${c.slice(0, 4)}-5${c.slice(5)}-a${d.slice(1, 4)}-${hexOf(rental)}${d.slice(4)}`
}

export const streamOf = (rental: number): string => `rental-r${rental}`

const momentAt = (revision: number): number => begin + revision * chargePeriodSeconds * 1000
const timeAt = (revision: number): string => new Date(momentAt(revision)).toISOString()

/** Begins with its time, as the ids of events on the platform do (`eventIdOf` in commands/ids.ts). */
const eventIdAt = (rental: number, revision: number): string => {
  const moment = momentAt(revision).toString(16).padStart(12, '0')
  return `${moment.slice(0, 8)}-${moment.slice(8)}-8${uuidOf(rental, revision, 0).slice(15)}`
}
const usdc = (amount: bigint) => ({ amount: String(amount), asset: 'USDC/6' })
const chargedAfter = (seconds: number): bigint => (pricePerGpuHour * BigInt(gpuCount) * BigInt(seconds)) / 3600n

const fieldsOf = (rental: number, revision: number): Pick<NewEvent, 'type' | 'data'> => {
  if (revision === 0)
    return {
      type: 'RentalRequested',
      data: {
        listing: `l${rental % 500}`,
        renter: `0x${hexOf(mix(rental % 97)).repeat(5)}`,
        gpuCount,
        seconds: String(rentedSeconds),
        maxPricePerGpuHour: usdc(pricePerGpuHour),
        requestedAt: timeAt(0),
      },
    }
  if (revision === 1)
    return {
      type: 'RentalActivated',
      data: {
        provider: `p${rental % 50}`,
        gpu: 'NVIDIA H100',
        pricePerGpuHour: usdc(pricePerGpuHour),
        held: usdc(chargedAfter(360_000)),
        startedAt: timeAt(1),
        endsAt: timeAt(1200),
      },
    }
  return { type: 'UsageMetered', data: usageAt((revision - 1) * chargePeriodSeconds, timeAt(revision)) }
}

const usageAt = (runSeconds: number, meteredAt: string) => ({
  runSeconds: String(runSeconds),
  fee: usdc(chargedAfter(runSeconds) - chargedAfter(runSeconds - chargePeriodSeconds)),
  total: usdc(chargedAfter(runSeconds)),
  meteredAt,
})

/** Returns the event of a rental at a revision: requested, activated, and from then on metered again and again. */
export const eventAt = (rental: number, revision: number): NewEvent => ({
  id: eventIdAt(rental, revision),
  ...fieldsOf(rental, revision),
  metadata: {
    commandId: uuidOf(rental, revision, 1),
    correlationId: uuidOf(rental, 0, 1),
    causationId: uuidOf(rental, revision, 2),
    actor: 'system:meter',
    time: timeAt(revision),
    schemaVersion: 1,
  },
})

/** Returns which event comes n-th (counted from 0) in a log of rentals that have `length` events each. */
export const placeOf = (n: number, length: number): { readonly rental: number; readonly revision: number } => {
  const group = Math.floor(n / (rentalsAtOnce * length))
  const rest = n % (rentalsAtOnce * length)
  return { rental: group * rentalsAtOnce + (rest % rentalsAtOnce), revision: Math.floor(rest / rentalsAtOnce) }
}
