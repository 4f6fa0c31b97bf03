import { balanceOf } from '../../domain/account.ts'
import type { Details } from '../../domain/errors.ts'
import { costAtMost, exceeds, formatMoney, type Money, money } from '../../domain/money.ts'
import { hourlyRate } from '../../domain/rental.ts'
import type { RequestedRental } from '../../processes/rent-a-gpu.ts'
import type { Services } from '../services.ts'

/** Resolves to what a rejection is about, in figures: for INSUFFICIENT_FUNDS the amount that was to be held, and what the
 *  renter can spend now; for LISTING_TOO_SMALL and LISTING_FULL the GPUs of the listing; for PRICE_ABOVE_MAXIMUM the
 *  maximum and the present price, or their assets; for OFFERS_CHANGED how many were tried, and why each was refused. */
export const detailsOfRejection = async (
  { commands }: Pick<Services, 'commands'>,
  answer: RequestedRental,
): Promise<Details> => {
  if (answer.outcome !== 'rejected') return {}
  if (answer.details) return answer.details
  const { state: rental, first } = await commands.current('rental', answer.rental)
  if (rental.status === 'none') return {}
  const { state: listing } = await commands.current('listing', rental.listing)
  if (listing.status === 'none') return {}
  if (answer.code === 'LISTING_TOO_SMALL' || answer.code === 'LISTING_FULL')
    return { gpuCount: `is ${rental.gpuCount}, and the listing has ${listing.gpuCount} in all` }
  if (answer.code === 'PRICE_ABOVE_MAXIMUM' && first?.event.type === 'RentalRequested')
    return detailsOfPrice(first.event.maxPricePerGpuHour, listing.pricePerGpuHour)
  if (answer.code !== 'INSUFFICIENT_FUNDS') return {}
  const { state: account, last } = await commands.current('account', rental.renter)
  const refused = last?.event.type === 'HoldRefused' && last.event.rental === answer.rental ? last.event : undefined
  const needed = refused?.amount ?? costAtMost(hourlyRate({ ...listing, gpuCount: rental.gpuCount }), rental.seconds)
  const available = money(balanceOf(account, needed.asset).available, needed.asset)
  return { needed: formatMoney(needed), available: formatMoney(available) }
}

const detailsOfPrice = (maximum: Money, price: Money): Details => {
  if (price.asset !== maximum.asset)
    return { asset: `is ${maximum.asset}, and the listing is offered for ${price.asset}` }
  const costs = formatMoney(price)
  if (!exceeds(price, maximum))
    return {
      maxPricePerGpuHour: `is ${formatMoney(maximum)}: the listing cost more when it was asked, and ${costs} now`,
    }
  return { maxPricePerGpuHour: `is ${formatMoney(maximum)}, and the listing costs ${costs}` }
}
