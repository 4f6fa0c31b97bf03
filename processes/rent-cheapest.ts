import type { Commands } from '../commands/execute.ts'
import type { Refusal } from '../domain/errors.ts'
import type { ReadModels } from '../projections/database.ts'
import type { Needs } from '../scheduler/placement/cheapest.ts'
import { findListings } from '../scheduler/placement/find-listings.ts'
import type { RentalRequest, RequestedRental } from './rent-a-gpu.ts'
import { rentOneOf } from './rent-one-of.ts'

/** What the listing must be able to do, for whom and for how long. */
export type PlacementRequest = Omit<RentalRequest, 'listing' | 'placement'> & { readonly needs: Needs }

/** How many offers are tried when the best ones are refused: as many providers, where there are so many. */
const offersTriedMax = 8

type Dependencies = { readonly commands: Commands; readonly read: ReadModels; readonly now: () => string }

/** Lets placement choose the listings and rents from the best one that takes the request. What was asked and what was
 *  found is stored with the first rental of the key. Refuses what placement and `requestRental` refuse. */
export const rentCheapest = (
  dependencies: Dependencies,
  { needs, ...terms }: PlacementRequest,
): Promise<RequestedRental | Refusal> => {
  const { gpu, vramMib, region } = needs
  const asked = {
    gpu,
    ...(vramMib === undefined ? {} : { vramMib }),
    ...(region === undefined ? {} : { region }),
  }
  return rentOneOf(dependencies, terms, asked, () => findListings(dependencies.read, needs, offersTriedMax))
}
