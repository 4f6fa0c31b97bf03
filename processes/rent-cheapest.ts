import type { Commands } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import type { ReadModels } from '../projections/database.ts'
import { gpuModels, searchListings } from '../projections/listings.ts'
import { pageRowsMax } from '../projections/page.ts'
import { type Candidate, type Needs, place } from '../scheduler/placement/cheapest.ts'
import { type RentalWish, type RequestedRental, requestRental } from './request-rental.ts'

/** Which listing, or what it must be able to do. */
export type RentWish = Omit<RentalWish, 'listing'> & ({ readonly listing: string } | { readonly needs: Needs })

/** How many offers are tried when others are faster at the cheapest ones. */
const offersTriedMax = 3

type Dependencies = { readonly commands: Commands; readonly read: ReadModels; readonly now: () => string }

/** Rents from the named listing, or lets placement choose: then an offer that was just taken is followed by the next best.
 *  The same key again finds the rental that it led to. */
export const rentGpu = async (dependencies: Dependencies, wish: RentWish): Promise<RequestedRental | Refusal> => {
  if ('listing' in wish) return requestRental(dependencies, wish)
  const { needs, ...terms } = wish
  const earlier = await earlierAnswer(dependencies, terms)
  if (earlier) return earlier
  const offers = await findOffers(dependencies.read, needs)
  const placed = place(needs, offers)
  if ('code' in placed) {
    if (placed.code !== 'GPU_UNKNOWN') return refuse(placed.code, { gpu: needs.gpu })
    return refuse('GPU_UNKNOWN', { gpu: needs.gpu, offered: (await gpuModels(dependencies.read)).join(', ') })
  }
  let answer: RequestedRental | Refusal = refuse('LISTING_FULL')
  for (const [index, { listing }] of placed.candidates.slice(0, offersTriedMax).entries()) {
    answer = await requestRental(dependencies, {
      ...terms,
      idempotencyKey: keyOfTry(terms.idempotencyKey, index),
      listing,
    })
    if (isRefusal(answer) || answer.outcome === 'active' || answer.code !== 'LISTING_FULL') return answer
  }
  return answer
}

/** Each offer tried is a rental of its own, under a key made of the renter's. */
const keyOfTry = (key: string, index: number): string => (index === 0 ? key : derivedId('try', key, String(index)))

/** Walks again what this key has led to before, wherever placement would go now. The last try is the answer. */
const earlierAnswer = async (
  dependencies: Dependencies,
  terms: Omit<RentalWish, 'listing'>,
): Promise<RequestedRental | Refusal | undefined> => {
  let answer: RequestedRental | Refusal | undefined
  for (let index = 0; index < offersTriedMax; index++) {
    const idempotencyKey = keyOfTry(terms.idempotencyKey, index)
    const { first } = await dependencies.commands.current('rental', derivedId('rental', terms.renter, idempotencyKey))
    const requested = first?.event
    if (requested?.type !== 'RentalRequested') return answer
    answer = await requestRental(dependencies, { ...terms, idempotencyKey, listing: requested.listing })
  }
  return answer
}

/** All listings of the model: placement says why none fits, so nothing is filtered here but the model. */
const findOffers = async (read: ReadModels, { gpu }: Needs): Promise<Candidate[]> => {
  const offers: Candidate[] = []
  let after: string | undefined
  do {
    const page = await searchListings(read, { gpu, first: pageRowsMax, after })
    for (const row of page.rows)
      if (row.status === 'open')
        offers.push({
          listing: row.id,
          gpu: row.gpu,
          freeGpus: row.freeGpus,
          vramMib: row.vramMib,
          region: row.region,
          pricePerGpuHour: money(row.pricePerGpuHour, row.asset),
        })
    after = page.hasNextPage ? page.endCursor : undefined
  } while (after)
  return offers
}
