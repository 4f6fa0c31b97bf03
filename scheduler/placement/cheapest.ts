import type { Details, ErrorCode } from '../../domain/errors.ts'
import { gpuKeyOf } from '../../domain/gpu-models.ts'
import { formatMoney, type Money } from '../../domain/money.ts'
import { regionMatcher } from '../../domain/regions.ts'

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
  readonly gpuCount: number
  readonly freeGpus: number
  readonly vramMib: number
  readonly region: string
  readonly pricePerGpuHour: Money
}

/** Why no listing fits. The details are under the names that the fields of a request have. */
type Misfit = { readonly code: ErrorCode; readonly details: Details }

/** Returns the listings that fit, the cheapest first. Among those of one price, the one with the fewest free GPUs comes
 *  first, so that the rental fills it best; then they are sorted by id. When none fits, returns the code of the last
 *  filter that some listing reached, and which requirement failed: GPU_UNKNOWN, NO_FITTING_OFFER, PRICE_ABOVE_MAXIMUM,
 *  LISTING_FULL. */
export const place = (
  needs: Needs,
  offers: readonly Candidate[],
): { readonly candidates: readonly Candidate[] } | Misfit => {
  const model = gpuKeyOf(needs.gpu)
  const ofModel = offers.filter(({ gpu }) => gpuKeyOf(gpu) === model)
  if (ofModel.length === 0) return { code: 'GPU_UNKNOWN', details: {} }
  const requirements = requirementsOf(needs)
  const large = ofModel.filter((offer) => requirements.every(({ holds }) => holds(offer)))
  if (large.length === 0) return { code: 'NO_FITTING_OFFER', details: whyNone(requirements, ofModel) }
  const { amount: maximum, asset } = needs.maxPricePerGpuHour
  const inAsset = large.filter(({ pricePerGpuHour }) => pricePerGpuHour.asset === asset)
  const affordable = inAsset.filter(({ pricePerGpuHour: { amount } }) => amount <= maximum)
  if (affordable.length === 0) {
    const cheapest = inAsset.toSorted(byPrice)[0]?.pricePerGpuHour
    const asked = formatMoney(needs.maxPricePerGpuHour)
    const details = cheapest
      ? { maxPricePerGpuHour: `is ${asked}, and the cheapest that fits costs ${formatMoney(cheapest)}` }
      : { asset: `is ${asset}, and what fits is offered for ${large[0]?.pricePerGpuHour.asset}` }
    return { code: 'PRICE_ABOVE_MAXIMUM', details }
  }
  const free = affordable.filter(({ freeGpus }) => freeGpus >= needs.gpuCount)
  if (free.length > 0) return { candidates: free.toSorted(byPrice) }
  const most = maxOf(affordable.map(({ freeGpus }) => freeGpus))
  return { code: 'LISTING_FULL', details: { gpuCount: `is ${needs.gpuCount}, and at most ${most} are free at once` } }
}

type Requirement = {
  readonly field: string
  readonly holds: (offer: Candidate) => boolean
  /** Returns why no listing meets it. */
  readonly why: (offers: readonly Candidate[]) => string
}

const maxOf = (numbers: readonly number[]): number => numbers.reduce((most, number) => Math.max(most, number), 0)

const regionCharactersShown = 60
const regionsShownMax = 5

const requirementsOf = ({ gpuCount, vramMib = 0, region }: Needs): readonly Requirement[] => {
  const isThere = region ? regionMatcher(region) : () => true
  return [
    {
      field: 'gpuCount',
      holds: (offer) => offer.gpuCount >= gpuCount,
      why: (offers) => `is ${gpuCount}, and the largest listing has ${maxOf(offers.map((offer) => offer.gpuCount))}`,
    },
    {
      field: 'vramMibMin',
      holds: (offer) => offer.vramMib >= vramMib,
      why: (offers) => `is ${vramMib}, and the most on offer is ${maxOf(offers.map((offer) => offer.vramMib))}`,
    },
    {
      field: 'region',
      holds: (offer) => isThere(offer.region),
      why: (offers) => {
        const regions = [...new Set(offers.map((offer) => offer.region.slice(0, regionCharactersShown)))]
        const shown = regions.slice(0, regionsShownMax).join('; ')
        return `is "${region?.slice(0, regionCharactersShown)}", and offers are in ${shown}${regions.length > regionsShownMax ? '; …' : ''}`
      },
    },
  ]
}

/** Returns the requirements that no listing meets; where each is met by some, those that no listing meets together. */
const whyNone = (requirements: readonly Requirement[], offers: readonly Candidate[]): Details => {
  const failed = requirements.filter(({ holds }) => !offers.some(holds))
  if (failed.length > 0) return Object.fromEntries(failed.map(({ field, why }) => [field, why(offers)]))
  const partly = requirements.filter(({ holds }) => !offers.every(holds))
  return Object.fromEntries(
    partly.map(({ field }) => [field, 'is met by some offers, but not together with the others']),
  )
}

const byPrice = (a: Candidate, b: Candidate): number => {
  const difference = a.pricePerGpuHour.amount - b.pricePerGpuHour.amount
  if (difference !== 0n) return difference < 0n ? -1 : 1
  return a.freeGpus - b.freeGpus || (a.listing < b.listing ? -1 : 1)
}
