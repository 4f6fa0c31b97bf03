import type { ErrorCode } from '../../domain/errors.ts'
import type { Money } from '../../domain/money.ts'

/** What a listing must offer when the renter names no listing. */
export type Needs = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib?: number
  readonly region?: string
  readonly maxPricePerGpuHour: Money
}

/** An open listing, as placement compares it. */
export type Candidate = {
  readonly listing: string
  readonly gpu: string
  readonly freeGpus: number
  readonly vramMib: number
  readonly region: string
  readonly pricePerGpuHour: Money
}

/** Returns the listings that fit, the cheapest first. Among those of one price, the one with the fewest free GPUs comes
 *  first, so that the rental fills it best; then they are sorted by id. When none fits, returns the code of the last
 *  filter that some listing reached: GPU_UNKNOWN, NO_FITTING_OFFER, PRICE_ABOVE_MAXIMUM, LISTING_FULL. */
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
