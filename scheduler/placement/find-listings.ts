import { type Refusal, refuse } from '../../domain/errors.ts'
import type { ReadModels } from '../../projections/database.ts'
import { gpuModelsNear } from '../../projections/listings.ts'
import { cheapestOffers, offersInFigures, regionsOfOffers } from '../../projections/offers.ts'
import { type Needs, regionsFoundMax, whyNone } from './cheapest.ts'

/** How much of a name that is on no offer the answer repeats, and how many others it names. */
const [gpuCharactersShown, modelsShownMax] = [100, 5]
/** A listing may come between two looks: then the first look finds it the next time. */
const looksMax = 3

/** Resolves to the listings that fit, at most `max`: first the cheapest of each provider, then others. The cheapest comes
 *  first; among those of one price, the one with the fewest free GPUs, so that the rental fills it best. Reads these alone:
 *  what refused listings have is asked of the database in figures. Refuses GPU_UNKNOWN, NO_FITTING_OFFER, PRICE_ABOVE_MAXIMUM, LISTING_FULL, and names the
 *  requirement that failed. */
export const findListings = async (
  read: ReadModels,
  needs: Needs,
  max: number,
): Promise<readonly string[] | Refusal> => {
  const { gpuCount, vramMib = 0, region } = needs
  const gpu = needs.gpu.slice(0, gpuCharactersShown)
  const search = { gpu: needs.gpu, gpuCount, vramMib, region, priceMax: needs.maxPricePerGpuHour }
  for (let looks = 1; ; looks += 1) {
    const found = await cheapestOffers(read, search, max)
    if (found.length > 0) return found
    const figures = await offersInFigures(read, search)
    const { offers, cheapest, freeMost } = figures
    if (offers === 0) {
      const nearest = await gpuModelsNear(read, needs.gpu, modelsShownMax)
      return refuse('GPU_UNKNOWN', { gpu, nearest: nearest.join(', ') || 'no GPU is on offer' })
    }
    const fits = cheapest !== undefined && cheapest <= needs.maxPricePerGpuHour.amount && freeMost >= gpuCount
    if (fits && looks < looksMax) continue
    const others = figures.having.region === 0 ? await regionsOfOffers(read, needs.gpu, regionsFoundMax) : []
    const { code, details } = whyNone(needs, figures, others)
    return refuse(code, { gpu, ...details })
  }
}
