import type { Details, ErrorCode } from '../../domain/errors.ts'
import { formatMoney, type Money, money } from '../../domain/money.ts'
import { type OfferFigures, regionCharactersShown } from '../../projections/offers.ts'

/** What a listing must offer when the renter names no listing. */
export type Needs = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib?: number
  readonly region?: string
  readonly maxPricePerGpuHour: Money
}

/** Why placement finds no listing. The details are under the names that the fields of a request have. */
type Misfit = { readonly code: ErrorCode; readonly details: Details }

/** How many regions are looked for; the last one shows that there are more than are named. */
export const regionsFoundMax = 6

/** Returns why no open listing fits: the code of the last requirement that some listing reached, and which one failed:
 *  GPU_UNKNOWN, NO_FITTING_OFFER, PRICE_ABOVE_MAXIMUM, LISTING_FULL.
 *  @param figures of the open listings of the model.
 *  @param regions the first regions of these listings, used where none of them is in the region asked for. */
export const whyNone = (needs: Needs, figures: OfferFigures, regions: readonly string[]): Misfit => {
  if (figures.offers === 0) return { code: 'GPU_UNKNOWN', details: {} }
  if (figures.having.all === 0) return { code: 'NO_FITTING_OFFER', details: unmet(needs, figures, regions) }
  const { amount: maximum, asset } = needs.maxPricePerGpuHour
  const { cheapest, freeMost } = figures
  if (cheapest === undefined) {
    const why = `is ${asset}, and what fits is offered for ${figures.asset}`
    return { code: 'PRICE_ABOVE_MAXIMUM', details: { asset: why } }
  }
  if (cheapest > maximum) {
    const costs = formatMoney(money(cheapest, asset))
    const why = `is ${formatMoney(needs.maxPricePerGpuHour)}, and the cheapest that fits costs ${costs}`
    return { code: 'PRICE_ABOVE_MAXIMUM', details: { maxPricePerGpuHour: why } }
  }
  const why = `is ${needs.gpuCount}, and at most ${freeMost} are free at once`
  return { code: 'LISTING_FULL', details: { gpuCount: why } }
}

/** Returns the requirements that no listing meets; where each is met by some, those that no listing meets together. */
const unmet = (needs: Needs, figures: OfferFigures, regions: readonly string[]): Details => {
  const { gpuCount, vramMib = 0, region = '' } = needs
  const { offers, having, gpuCountMost, vramMibMost } = figures
  const shown = `${regions.slice(0, regionsFoundMax - 1).join('; ')}${regions.length < regionsFoundMax ? '' : '; …'}`
  const asked = region.slice(0, regionCharactersShown)
  const requirements = [
    ['gpuCount', having.gpuCount, `is ${gpuCount}, and the largest listing has ${gpuCountMost}`],
    ['vramMibMin', having.vramMib, `is ${vramMib}, and the most on offer is ${vramMibMost}`],
    ['region', having.region, `is "${asked}", and offers are in ${shown}`],
  ] as const
  const failed = requirements.filter(([, met]) => met === 0)
  if (failed.length > 0) return Object.fromEntries(failed.map(([field, , why]) => [field, why]))
  const together = 'is met by some offers, but not together with the others'
  return Object.fromEntries(requirements.filter(([, met]) => met < offers).map(([field]) => [field, together]))
}
