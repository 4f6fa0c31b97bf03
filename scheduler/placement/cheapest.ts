import type { ErrorCode } from '../../domain/errors.ts'
import type { Money } from '../../domain/money.ts'

/** What a renter needs, when no listing was named. */
export type Needs = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib?: number
  readonly region?: string
  readonly maxPricePerGpuHour: Money
}

export type Candidate = {
  readonly listing: string
  readonly gpu: string
  readonly freeGpus: number
  readonly vramMib: number
  readonly region: string
  readonly pricePerGpuHour: Money
}

/** Filter, then score: the fitting offers, cheapest first, and among equals the one that the rental fills best. When none
 *  fits, the code says what stood in the way of the closest. */
export const place = (
  needs: Needs,
  offers: readonly Candidate[],
): { readonly candidates: readonly Candidate[] } | { readonly code: ErrorCode } => {
  const ofModel = offers.filter(({ gpu }) => gpu.toLowerCase() === needs.gpu.toLowerCase())
  if (ofModel.length === 0) return { code: 'GPU_UNKNOWN' }
  const large = ofModel.filter(
    ({ vramMib, region }) =>
      vramMib >= (needs.vramMib ?? 0) && (!needs.region || region.toLowerCase().includes(needs.region.toLowerCase())),
  )
  if (large.length === 0) return { code: 'NO_FITTING_OFFER' }
  const affordable = large.filter(
    ({ pricePerGpuHour: { amount, asset } }) =>
      asset === needs.maxPricePerGpuHour.asset && amount <= needs.maxPricePerGpuHour.amount,
  )
  if (affordable.length === 0) return { code: 'PRICE_ABOVE_MAXIMUM' }
  const free = affordable.filter(({ freeGpus }) => freeGpus >= needs.gpuCount)
  if (free.length === 0) return { code: 'LISTING_FULL' }
  return { candidates: free.toSorted(byPrice) }
}

const byPrice = (a: Candidate, b: Candidate): number => {
  const difference = a.pricePerGpuHour.amount - b.pricePerGpuHour.amount
  if (difference !== 0n) return difference < 0n ? -1 : 1
  return a.freeGpus - b.freeGpus || (a.listing < b.listing ? -1 : 1)
}
