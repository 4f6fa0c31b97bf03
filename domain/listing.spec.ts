import { describe, expect, test } from '@jest/globals'
import { spec } from './decider.testing.ts'
import * as listing from './listing.ts'
import { usd, usdc } from './money.testing.ts'
import { mapOf } from './persistent-map.testing.ts'
import { emptyMap } from './persistent-map.ts'

const { given } = spec(listing)

const offer: listing.Offer = {
  provider: 'grace',
  gpu: 'H100',
  gpuCount: 4,
  vramMib: 81_559,
  vcpus: 32,
  memoryMib: 262_144,
  region: 'eu-north',
  pricePerGpuHour: usdc(1000n),
}
const list = { type: 'ListGpus', listedAt: '2026-01-01T00:00:00.000Z', ...offer } satisfies listing.Command
const changePrice = (pricePerGpuHour = usdc(900n)) =>
  ({ type: 'ChangePrice', pricePerGpuHour }) as const satisfies listing.Command
const withdraw = { type: 'WithdrawListing' } satisfies listing.Command
const reserve = {
  type: 'ReserveCapacity',
  rental: 'rental-1',
  gpuCount: 1,
  maxPricePerGpuHour: usdc(1000n),
  at: '2026-01-01T00:00:00.000Z',
  notAfter: '2026-01-01T00:00:30.000Z',
} satisfies listing.Command
const free = (rental = 'rental-1') => ({ type: 'FreeCapacity', rental }) as const satisfies listing.Command

const listed = { ...list, type: 'GpusListed' } as const
const withdrawn = { type: 'ListingWithdrawn' } as const
const reserved = (gpuCount: number, rental = 'rental-1', pricePerGpuHour = usdc(1000n)) =>
  ({ type: 'CapacityReserved', rental, gpuCount, provider: 'grace', gpu: 'H100', pricePerGpuHour }) as const
const refused = (code: Extract<listing.Event, { type: 'CapacityRefused' }>['code'], rental = 'rental-1') =>
  ({ type: 'CapacityRefused', rental, code }) as const
const freed = (gpuCount: number, rental = 'rental-1') => ({ type: 'CapacityFreed', rental, gpuCount }) as const

describe('none', () => {
  describe('ListGpus', () => {
    test('offers GPUs', () => given().when(list).then(listed))
    test('needs a GPU', () =>
      given()
        .when({ ...list, gpuCount: 0 })
        .refuses('LISTING_INVALID', { gpuCount: '0' }))
    test('needs a price', () =>
      given()
        .when({ ...list, pricePerGpuHour: usdc(0n) })
        .refuses('LISTING_INVALID', { pricePerGpuHour: 'not above zero' }))
    test('takes one GPU for one minor unit', () => {
      const least = { gpuCount: 1, pricePerGpuHour: usdc(1n) }
      given()
        .when({ ...list, ...least })
        .then({ ...listed, ...least })
    })
  })
})

describe('open', () => {
  test('has all of its GPUs free at first', () => {
    const { state } = given(listed)
    expect(state).toStrictEqual({ status: 'open', reservations: emptyMap, reservedGpus: 0, ...offer })
    expect(state.status !== 'none' && listing.freeGpus(state)).toBe(4)
  })

  describe('ChangePrice', () => {
    test('sets the price', () =>
      given(listed)
        .when(changePrice())
        .then({ type: 'PriceChanged', pricePerGpuHour: usdc(900n) }))
    test('takes the least price', () =>
      given(listed)
        .when(changePrice(usdc(1n)))
        .then({ type: 'PriceChanged', pricePerGpuHour: usdc(1n) }))
    test('needs a price', () =>
      given(listed)
        .when(changePrice(usdc(0n)))
        .refuses('LISTING_INVALID', { pricePerGpuHour: 'not above zero' }))
    test('keeps the asset', () =>
      given(listed)
        .when(changePrice(usd(900n)))
        .refuses('LISTING_INVALID', { asset: 'USD/2' }))
    test('to the same price is nothing new', () =>
      given(listed)
        .when(changePrice(usdc(1000n)))
        .then())
    test('holds for the next reservation, not for those made', () =>
      given(listed, reserved(1), { type: 'PriceChanged', pricePerGpuHour: usdc(900n) })
        .when({ ...reserve, rental: 'rental-2' })
        .then(reserved(1, 'rental-2', usdc(900n))))
  })

  test('WithdrawListing closes it', () => given(listed).when(withdraw).then(withdrawn))

  describe('ReserveCapacity', () => {
    test('reserves at the current price', () => given(listed).when(reserve).then(reserved(1)))
    test('reserves up to the last GPU', () =>
      given(listed, reserved(3))
        .when({ ...reserve, rental: 'rental-2' })
        .then(reserved(1, 'rental-2')))
    test('reserves up to the very deadline', () =>
      given(listed)
        .when({ ...reserve, at: reserve.notAfter })
        .then(reserved(1)))
    test('is refused after its deadline', () =>
      given(listed)
        .when({ ...reserve, at: '2026-01-01T00:00:30.001Z' })
        .then(refused('DEADLINE_PASSED')))
    test('takes no price above its maximum', () =>
      given(listed)
        .when({ ...reserve, maxPricePerGpuHour: usdc(999n) })
        .then(refused('PRICE_ABOVE_MAXIMUM')))
    test('takes no price in another asset', () =>
      given(listed)
        .when({ ...reserve, maxPricePerGpuHour: usd(1_000_000n) })
        .then(refused('PRICE_ABOVE_MAXIMUM')))
    test('reserves once for a rental', () =>
      given(listed, reserved(1)).when(reserve).then(refused('RENTAL_ALREADY_REQUESTED')))
    test('needs a GPU', () =>
      given(listed)
        .when({ ...reserve, gpuCount: 0 })
        .then(refused('RENTAL_INVALID')))
    test('never takes more than are free', () =>
      given(listed, reserved(3))
        .when({ ...reserve, rental: 'rental-2', gpuCount: 2 })
        .then(refused('LISTING_FULL', 'rental-2')))
    test('of more GPUs than there are is refused, however many are free', () =>
      given(listed)
        .when({ ...reserve, gpuCount: 5 })
        .then(refused('LISTING_TOO_SMALL')))
    test('of a full listing is refused', () =>
      given(listed, reserved(4))
        .when({ ...reserve, rental: 'rental-2' })
        .then(refused('LISTING_FULL', 'rental-2')))
    test('may be tried again after a refusal', () =>
      given(listed, refused('LISTING_FULL')).when(reserve).then(reserved(1)))
    test('names the first thing that is wrong', () => {
      const full = given(listed, reserved(4))
      const late = { ...reserve, at: '2026-01-02T00:00:00.000Z', maxPricePerGpuHour: usdc(1n), gpuCount: 0 }
      const inTime = { ...late, at: reserve.at }
      const dear = { ...inTime, maxPricePerGpuHour: usdc(1000n) }
      full.when(late).then(refused('DEADLINE_PASSED'))
      full.when(inTime).then(refused('PRICE_ABOVE_MAXIMUM'))
      full.when(dear).then(refused('RENTAL_ALREADY_REQUESTED'))
      full.when({ ...dear, rental: 'rental-2' }).then(refused('RENTAL_INVALID', 'rental-2'))
    })
  })

  describe('FreeCapacity', () => {
    test('gives all GPUs of the rental back', () => {
      given(listed, reserved(3), reserved(1, 'rental-2')).when(free()).then(freed(3))
      const { state } = given(listed, reserved(3), reserved(1, 'rental-2'), freed(3))
      expect(state.status !== 'none' && listing.freeGpus(state)).toBe(3)
    })
    test('makes room for another', () =>
      given(listed, reserved(4), freed(4))
        .when({ ...reserve, rental: 'rental-2', gpuCount: 4 })
        .then(reserved(4, 'rental-2')))
    test('of no reservation is refused', () =>
      given(listed, reserved(1, 'rental-2')).when(free()).refuses('RESERVATION_UNKNOWN', { rental: 'rental-1' }))
    test('is refused the second time', () =>
      given(listed, reserved(1), freed(1)).when(free()).refuses('RESERVATION_UNKNOWN', { rental: 'rental-1' }))
  })
})

describe('withdrawn', () => {
  const closed = given(listed, reserved(2), withdrawn)
  test('keeps its reservations', () =>
    expect(closed.state).toStrictEqual({
      status: 'withdrawn',
      reservations: mapOf([['rental-1', 2]]),
      reservedGpus: 2,
      ...offer,
    }))
  test('ReserveCapacity is refused', () =>
    closed
      .when({ ...reserve, rental: 'rental-2', maxPricePerGpuHour: usdc(1n) })
      .then(refused('LISTING_WITHDRAWN', 'rental-2')))
  test('FreeCapacity still gives back', () => closed.when(free()).then(freed(2)))
})

test('a history that could not have happened is called corrupt', () => {
  const price = { type: 'PriceChanged', pricePerGpuHour: usdc(1n) } as const
  given().cannotBeFollowedBy(price, withdrawn, reserved(1), freed(1))
  given(listed).cannotBeFollowedBy(listed)
  given(listed, withdrawn).cannotBeFollowedBy(listed, price, withdrawn, reserved(1))
})
