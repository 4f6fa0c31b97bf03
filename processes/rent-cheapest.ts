import { ids } from '../commands/derived-ids.ts'
import type { Commands } from '../commands/execute.ts'
import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import type { ReadModels } from '../projections/database.ts'
import { gpuModelsNear, gpuNamesLike, searchListings } from '../projections/listings.ts'
import { readAllPages } from '../projections/page.ts'
import { type Candidate, type Needs, place } from '../scheduler/placement/cheapest.ts'
import { type RentalRequest, type RequestedRental, requestRental } from './rent-a-gpu.ts'

/** What the listing must be able to do, for whom and for how long. */
export type PlacementRequest = Omit<RentalRequest, 'listing'> & { readonly needs: Needs }

/** How many offers are tried when others are faster at the cheapest ones. */
const offersTriedMax = 3

/** How much of a name that is on no offer the answer repeats, and how many others it names. */
const [gpuCharactersShown, modelsShownMax] = [100, 5]

type Dependencies = { readonly commands: Commands; readonly read: ReadModels; readonly now: () => string }

/** Lets placement choose the listing and rents from it; when that one was just taken, the next best is tried. The same
 *  key again finds the rental that it led to. Refuses what placement and `requestRental` refuse. */
export const rentCheapest = async (
  dependencies: Dependencies,
  { needs, ...terms }: PlacementRequest,
): Promise<RequestedRental | Refusal> => {
  const earlier = await earlierAnswer(dependencies, terms)
  if (earlier) return earlier
  const offers = await findOffers(dependencies.read, needs)
  const placed = place(needs, offers)
  if ('code' in placed) {
    const gpu = needs.gpu.slice(0, gpuCharactersShown)
    if (placed.code !== 'GPU_UNKNOWN') return refuse(placed.code, { gpu, ...placed.details })
    const nearest = await gpuModelsNear(dependencies.read, needs.gpu, modelsShownMax)
    return refuse('GPU_UNKNOWN', { gpu, nearest: nearest.join(', ') || 'no GPU is on offer' })
  }
  let answer: RequestedRental | Refusal = refuse('LISTING_FULL')
  for (const [index, { listing }] of placed.candidates.slice(0, offersTriedMax).entries()) {
    // Each offer tried is a separate rental, under a key derived from the renter's key.
    const idempotencyKey = ids.keyOfTry(terms.idempotencyKey, index)
    answer = await requestRental(dependencies, { ...terms, idempotencyKey, listing })
    if (isRefusal(answer) || answer.outcome === 'active' || answer.code !== 'LISTING_FULL') return answer
  }
  return answer
}

/** Requests again what this key has led to before, wherever placement would go now. The last try is the answer. */
const earlierAnswer = async (
  dependencies: Dependencies,
  terms: Omit<RentalRequest, 'listing'>,
): Promise<RequestedRental | Refusal | undefined> => {
  let answer: RequestedRental | Refusal | undefined
  for (let index = 0; index < offersTriedMax; index++) {
    const idempotencyKey = ids.keyOfTry(terms.idempotencyKey, index)
    const { first } = await dependencies.commands.current('rental', ids.rental(terms.renter, idempotencyKey))
    const requested = first?.event
    if (requested?.type !== 'RentalRequested') return answer
    answer = await requestRental(dependencies, { ...terms, idempotencyKey, listing: requested.listing })
  }
  return answer
}

/** Resolves to all open listings of the model: placement returns why none fits, so nothing else is filtered here. */
const findOffers = async (read: ReadModels, { gpu }: Needs): Promise<Candidate[]> => {
  const gpus = await gpuNamesLike(read, gpu)
  const rows = await readAllPages((page) => searchListings(read, { gpus, ...page }))
  return rows
    .filter(({ status }) => status === 'open')
    .map((row) => ({
      listing: row.id,
      gpu: row.gpu,
      gpuCount: row.gpuCount,
      freeGpus: row.freeGpus,
      vramMib: row.vramMib,
      region: row.region,
      pricePerGpuHour: money(row.pricePerGpuHour, row.asset),
    }))
}
