// A provider's offer of GPUs of one model on one machine, and the GPUs that each rental has reserved. Stream
// `listing-<id>`.
import { type ErrorCode, mustBe, type Refusal, refuse } from './errors.ts'
import { exceeds, type Money } from './money.ts'
import { emptyMap, isIn, type PersistentMap, valueIn, withEntry, without } from './persistent-map.ts'

export type Offer = {
  readonly provider: string
  readonly gpu: string
  readonly gpuCount: number
  /** Memory of one GPU. */
  readonly vramMib: number
  readonly vcpus: number
  readonly memoryMib: number
  readonly region: string
  readonly pricePerGpuHour: Money
}

export type Command =
  | ({ readonly type: 'ListGpus'; readonly listedAt: string } & Offer)
  | { readonly type: 'ChangePrice'; readonly pricePerGpuHour: Money }
  | { readonly type: 'WithdrawListing' }
  | {
      readonly type: 'ReserveCapacity'
      readonly rental: string
      readonly gpuCount: number
      readonly maxPricePerGpuHour: Money
      readonly at: string
      readonly notAfter: string
    }
  | { readonly type: 'FreeCapacity'; readonly rental: string }

/** A refused reservation is an event too: another run of the same saga must get the same answer. */
export type Event =
  | ({ readonly type: 'GpusListed'; readonly listedAt: string } & Offer)
  | { readonly type: 'PriceChanged'; readonly pricePerGpuHour: Money }
  | { readonly type: 'ListingWithdrawn' }
  | {
      readonly type: 'CapacityReserved'
      readonly rental: string
      readonly gpuCount: number
      readonly provider: string
      readonly gpu: string
      readonly pricePerGpuHour: Money
    }
  | { readonly type: 'CapacityRefused'; readonly rental: string; readonly code: ErrorCode }
  | { readonly type: 'CapacityFreed'; readonly rental: string; readonly gpuCount: number }

/** `reservations`: GPUs by rental; `reservedGpus` is their sum. */
export type State =
  | { readonly status: 'none' }
  | ({
      readonly status: 'open' | 'withdrawn'
      readonly reservations: PersistentMap<number>
      readonly reservedGpus: number
    } & Offer)

export const initial: State = { status: 'none' }

/** Returns the events that follow from a command, or a refusal. Pure. A reservation that cannot be made is
 *  CapacityRefused. */
export function decide(command: Command, state: State): Event[] | Refusal {
  if (command.type === 'ListGpus') {
    if (state.status !== 'none') return refuse('LISTING_ALREADY_EXISTS')
    if (command.gpuCount < 1) return refuse('LISTING_INVALID', { gpuCount: String(command.gpuCount) })
    if (command.pricePerGpuHour.amount < 1n) return refuse('LISTING_INVALID', { pricePerGpuHour: 'not above zero' })
    return [{ ...command, type: 'GpusListed' }]
  }
  if (state.status === 'none') return refuse('LISTING_UNKNOWN')
  switch (command.type) {
    case 'ChangePrice': {
      if (state.status === 'withdrawn') return refuse('LISTING_WITHDRAWN')
      if (command.pricePerGpuHour.amount < 1n) return refuse('LISTING_INVALID', { pricePerGpuHour: 'not above zero' })
      if (command.pricePerGpuHour.asset !== state.pricePerGpuHour.asset)
        return refuse('LISTING_INVALID', { asset: command.pricePerGpuHour.asset })
      if (command.pricePerGpuHour.amount === state.pricePerGpuHour.amount) return []
      return [{ ...command, type: 'PriceChanged' }]
    }
    case 'WithdrawListing':
      return state.status === 'withdrawn' ? [] : [{ type: 'ListingWithdrawn' }]
    case 'ReserveCapacity': {
      const { rental, gpuCount } = command
      const refused = (code: ErrorCode): Event[] => [{ type: 'CapacityRefused', rental, code }]
      if (command.at > command.notAfter) return refused('DEADLINE_PASSED')
      if (state.status === 'withdrawn') return refused('LISTING_WITHDRAWN')
      if (command.maxPricePerGpuHour.asset !== state.pricePerGpuHour.asset) return refused('PRICE_ABOVE_MAXIMUM')
      if (exceeds(state.pricePerGpuHour, command.maxPricePerGpuHour)) return refused('PRICE_ABOVE_MAXIMUM')
      if (isIn(state.reservations, rental)) return refused('RENTAL_ALREADY_REQUESTED')
      if (gpuCount < 1) return refused('RENTAL_INVALID')
      if (gpuCount > state.gpuCount) return refused('LISTING_TOO_SMALL')
      if (gpuCount > freeGpus(state)) return refused('LISTING_FULL')
      const { provider, gpu, pricePerGpuHour } = state
      return [{ type: 'CapacityReserved', rental, gpuCount, provider, gpu, pricePerGpuHour }]
    }
    case 'FreeCapacity': {
      const gpuCount = valueIn(state.reservations, command.rental)
      if (gpuCount === undefined) return refuse('RESERVATION_UNKNOWN', { rental: command.rental })
      return [{ type: 'CapacityFreed', rental: command.rental, gpuCount }]
    }
  }
}

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  switch (event.type) {
    case 'GpusListed': {
      mustBe(state, 'none')
      const { type, listedAt, ...offer } = event
      return { status: 'open', reservations: emptyMap, reservedGpus: 0, ...offer }
    }
    case 'PriceChanged':
      return { ...mustBe(state, 'open'), pricePerGpuHour: event.pricePerGpuHour }
    case 'ListingWithdrawn':
      return { ...mustBe(state, 'open'), status: 'withdrawn' }
    case 'CapacityReserved': {
      const listing = mustBe(state, 'open')
      const before = valueIn(listing.reservations, event.rental) ?? 0
      const reservations = withEntry(listing.reservations, event.rental, event.gpuCount)
      return { ...listing, reservations, reservedGpus: listing.reservedGpus + event.gpuCount - before }
    }
    case 'CapacityRefused':
      return state
    case 'CapacityFreed': {
      const listing = mustBe(state, 'open', 'withdrawn')
      const reservedGpus = listing.reservedGpus - (valueIn(listing.reservations, event.rental) ?? 0)
      return { ...listing, reservations: without(listing.reservations, event.rental), reservedGpus }
    }
  }
}

type Listed = Exclude<State, { status: 'none' }>

/** Returns the number of GPUs that are not reserved. */
export const freeGpus = ({ gpuCount, reservedGpus }: Listed): number => gpuCount - reservedGpus
