import { ids } from '../commands/derived-ids.ts'
import type { Commands } from '../commands/execute.ts'
import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import type { Placement } from '../domain/rental.ts'
import type { ReadModels } from '../projections/database.ts'
import { gpuModelsNear, searchListings } from '../projections/listings.ts'
import { readAllPages } from '../projections/page.ts'
import { type Candidate, type Needs, place } from '../scheduler/placement/cheapest.ts'
import { type RentalRequest, type RequestedRental, requestRental } from './rent-a-gpu.ts'

/** What the listing must be able to do, for whom and for how long. */
export type PlacementRequest = Omit<RentalRequest, 'listing' | 'placement'> & { readonly needs: Needs }

/** How many offers are tried when others are faster at the cheapest ones. */
const offersTriedMax = 3

/** How much of a name that is on no offer the answer repeats, and how many others it names. */
const [gpuCharactersShown, modelsShownMax] = [100, 5]

type Dependencies = { readonly commands: Commands; readonly read: ReadModels; readonly now: () => string }

/** Lets placement choose the listings and rents from the best one; when that one was just taken, the next best is tried.
 *  What was asked and what was found is stored with the first rental of the key, so the same key again, and the same
 *  request in another process, tries the same listings and gets the same answer. Refuses what placement and
 *  `requestRental` refuse. */
export const rentCheapest = async (
  dependencies: Dependencies,
  { needs, ...terms }: PlacementRequest,
): Promise<RequestedRental | Refusal> => {
  const found = (await storedListings(dependencies.commands, terms)) ?? (await findListings(dependencies.read, needs))
  if (isRefusal(found)) return found
  const [listing = ''] = found
  const placement = { ...askedOf(needs), listings: found }
  let answer = await requestRental(dependencies, { ...terms, listing, placement })
  // The same request in another process may have stored other listings a moment earlier.
  const listings = isFull(answer) ? await storedListings(dependencies.commands, terms) : undefined
  for (const [index, listing] of listings?.entries() ?? []) {
    // Each listing tried is a separate rental, under a key derived from the renter's key; the first was tried above.
    if (index === 0) continue
    answer = await requestRental(dependencies, {
      ...terms,
      listing,
      idempotencyKey: ids.keyOfTry(terms.idempotencyKey, index),
    })
    if (!isFull(answer)) return answer
  }
  return answer
}

const askedOf = ({ gpu, vramMib, region }: Needs): Omit<Placement, 'listings'> => ({
  gpu,
  ...(vramMib === undefined ? {} : { vramMib }),
  ...(region === undefined ? {} : { region }),
})

const isFull = (answer: RequestedRental | Refusal): boolean =>
  !isRefusal(answer) && answer.outcome === 'rejected' && answer.code === 'LISTING_FULL'

/** Resolves to the listings that were stored with the first rental of this key, or to undefined when it has none. */
const storedListings = async (
  commands: Pick<Commands, 'current'>,
  { renter, idempotencyKey }: Pick<RentalRequest, 'renter' | 'idempotencyKey'>,
): Promise<readonly string[] | undefined> => {
  const { first } = await commands.current('rental', ids.rental(renter, idempotencyKey))
  const requested = first?.event
  if (requested?.type !== 'RentalRequested') return undefined
  return requested.placement?.listings ?? [requested.listing]
}

/** Resolves to the listings to try, the best first. Refuses what placement refuses. */
const findListings = async (read: ReadModels, needs: Needs): Promise<readonly string[] | Refusal> => {
  const placed = place(needs, await findOffers(read, needs))
  if (!('code' in placed)) return placed.candidates.slice(0, offersTriedMax).map(({ listing }) => listing)
  const gpu = needs.gpu.slice(0, gpuCharactersShown)
  if (placed.code !== 'GPU_UNKNOWN') return refuse(placed.code, { gpu, ...placed.details })
  const nearest = await gpuModelsNear(read, needs.gpu, modelsShownMax)
  return refuse('GPU_UNKNOWN', { gpu, nearest: nearest.join(', ') || 'no GPU is on offer' })
}

/** Resolves to all open listings of the model: placement returns why none fits, so nothing else is filtered here. */
const findOffers = async (read: ReadModels, { gpu }: Needs): Promise<Candidate[]> => {
  const rows = await readAllPages((page) => searchListings(read, { gpu, ...page }))
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
