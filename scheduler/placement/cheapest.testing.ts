import { gpuKeyOf } from '../../domain/gpu-models.ts'
import type { Money } from '../../domain/money.ts'
import { regionMatcher } from '../../domain/regions.testing.ts'
import { type OfferFigures, regionCharactersShown } from '../../projections/offers.ts'
import { type Needs, regionsFoundMax, whyNone } from './cheapest.ts'

/** An open listing, as placement compares it. */
export type Candidate = {
  readonly listing: string
  readonly provider: string
  readonly gpu: string
  readonly gpuCount: number
  readonly freeGpus: number
  readonly vramMib: number
  readonly region: string
  readonly pricePerGpuHour: Money
}

/** Returns the listings that fit, in the order in which they are tried, or why there is none. What the database is asked
 *  comes to the same. */
export const place = (
  needs: Needs,
  offers: readonly Candidate[],
): { readonly candidates: readonly Candidate[] } | ReturnType<typeof whyNone> => {
  const { gpuCount, vramMib = 0, region, maxPricePerGpuHour } = needs
  const isThere = region ? regionMatcher(region) : () => true
  const ofModel = offers.filter(({ gpu }) => gpuKeyOf(gpu) === gpuKeyOf(needs.gpu))
  const enough = ofModel.filter((offer) => offer.gpuCount >= gpuCount)
  const roomy = ofModel.filter((offer) => offer.vramMib >= vramMib)
  const there = ofModel.filter((offer) => isThere(offer.region))
  const all = ofModel.filter((offer) => [enough, roomy, there].every((having) => having.includes(offer)))
  const inAsset = all.filter(({ pricePerGpuHour }) => pricePerGpuHour.asset === maxPricePerGpuHour.asset).sort(byPrice)
  const affordable = inAsset.filter(({ pricePerGpuHour }) => pricePerGpuHour.amount <= maxPricePerGpuHour.amount)
  const candidates = affordable.filter(({ freeGpus }) => freeGpus >= gpuCount)
  if (candidates.length > 0) return { candidates }
  const figures: OfferFigures = {
    offers: ofModel.length,
    having: { gpuCount: enough.length, vramMib: roomy.length, region: there.length, all: all.length },
    gpuCountMost: Math.max(0, ...ofModel.map((offer) => offer.gpuCount)),
    vramMibMost: Math.max(0, ...ofModel.map((offer) => offer.vramMib)),
    cheapest: inAsset[0]?.pricePerGpuHour.amount,
    asset: all.map(({ pricePerGpuHour }) => pricePerGpuHour.asset).sort()[0],
    freeMost: Math.max(0, ...affordable.map(({ freeGpus }) => freeGpus)),
  }
  return whyNone(needs, figures, there.length === 0 ? regionsOf(ofModel) : [])
}

const byPrice = (a: Candidate, b: Candidate): number => {
  const difference = a.pricePerGpuHour.amount - b.pricePerGpuHour.amount
  if (difference !== 0n) return difference < 0n ? -1 : 1
  return a.freeGpus - b.freeGpus || (a.listing < b.listing ? -1 : 1)
}

/** Returns the first regions: the one with the cheapest listing first, then the one with the first id. */
const regionsOf = (offers: readonly Candidate[]): readonly string[] => {
  const groups = Map.groupBy(offers, ({ region }) => [...region].slice(0, regionCharactersShown).join(''))
  return [...groups]
    .map(([region, of]) => {
      const price = of.map(({ pricePerGpuHour }) => pricePerGpuHour.amount).reduce((a, b) => (a < b ? a : b))
      const listing = of.map((offer) => offer.listing).reduce((a, b) => (a < b ? a : b))
      return { region, key: { listing, freeGpus: 0, pricePerGpuHour: { amount: price } } as Candidate }
    })
    .sort((a, b) => byPrice(a.key, b.key))
    .slice(0, regionsFoundMax)
    .map(({ region }) => region)
}
