import type { Lifecycle } from './lifecycle.ts'
import type { Command, Event, State } from './listing.ts'

/** What each command leads to in each status of a listing. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    ListGpus: [{ events: ['GpusListed'], next: 'open' }, { refused: 'LISTING_INVALID' }],
    ChangePrice: [{ refused: 'LISTING_UNKNOWN' }],
    WithdrawListing: [{ refused: 'LISTING_UNKNOWN' }],
    ReserveCapacity: [{ refused: 'LISTING_UNKNOWN' }],
    FreeCapacity: [{ refused: 'LISTING_UNKNOWN' }],
  },
  open: {
    ListGpus: [{ refused: 'LISTING_ALREADY_EXISTS' }],
    ChangePrice: [{ events: ['PriceChanged'], next: 'open' }, 'nothing new', { refused: 'LISTING_INVALID' }],
    WithdrawListing: [{ events: ['ListingWithdrawn'], next: 'withdrawn' }],
    ReserveCapacity: [
      { events: ['CapacityReserved'], next: 'open' },
      { events: ['CapacityRefused'], next: 'open', refused: 'DEADLINE_PASSED' },
      { events: ['CapacityRefused'], next: 'open', refused: 'PRICE_ABOVE_MAXIMUM' },
      { events: ['CapacityRefused'], next: 'open', refused: 'RENTAL_ALREADY_REQUESTED' },
      { events: ['CapacityRefused'], next: 'open', refused: 'RENTAL_INVALID' },
      { events: ['CapacityRefused'], next: 'open', refused: 'LISTING_TOO_SMALL' },
      { events: ['CapacityRefused'], next: 'open', refused: 'LISTING_FULL' },
    ],
    FreeCapacity: [{ events: ['CapacityFreed'], next: 'open' }, { refused: 'RESERVATION_UNKNOWN' }],
  },
  withdrawn: {
    ListGpus: [{ refused: 'LISTING_ALREADY_EXISTS' }],
    ChangePrice: [{ refused: 'LISTING_WITHDRAWN' }],
    WithdrawListing: ['nothing new'],
    ReserveCapacity: [
      { events: ['CapacityRefused'], next: 'withdrawn', refused: 'DEADLINE_PASSED' },
      { events: ['CapacityRefused'], next: 'withdrawn', refused: 'LISTING_WITHDRAWN' },
    ],
    FreeCapacity: [{ events: ['CapacityFreed'], next: 'withdrawn' }, { refused: 'RESERVATION_UNKNOWN' }],
  },
}
