import { ReadModels } from './2026-11-22-read-models.ts'
import { BuildingAndParking } from './2026-11-23-building-and-parking.ts'
import { EventsAndMoments } from './2026-11-23-events-and-moments.ts'
import { AmountsOfTheChain } from './2026-11-28-amounts-of-the-chain.ts'
import { Endings } from './2026-11-28-endings.ts'
import { TransactionsOfPayments } from './2026-11-28-transactions-of-payments.ts'
import { NamesOfListings } from './2026-11-29-names-of-listings.ts'
import { Offers } from './2026-11-29-offers.ts'
import { OffersByProvider } from './2026-11-30-offers-by-provider.ts'

/** The migrations in the order in which they run. Neither the name nor the effect of a released migration ever
 *  changes. */
export const migrations = [
  { name: '2026-11-22-read-models', class: ReadModels },
  { name: '2026-11-23-building-and-parking', class: BuildingAndParking },
  { name: '2026-11-23-events-and-moments', class: EventsAndMoments },
  { name: '2026-11-28-amounts-of-the-chain', class: AmountsOfTheChain },
  { name: '2026-11-28-endings', class: Endings },
  { name: '2026-11-28-transactions-of-payments', class: TransactionsOfPayments },
  { name: '2026-11-29-names-of-listings', class: NamesOfListings },
  { name: '2026-11-29-offers', class: Offers },
  { name: '2026-11-30-offers-by-provider', class: OffersByProvider },
]
