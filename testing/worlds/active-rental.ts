import { isRefusal } from '../../domain/errors.ts'
import { usdc } from '../../domain/money.testing.ts'
import { requestRental } from '../../processes/rent-a-gpu.ts'
import { createMarket } from './market.ts'

/** Creates a market in memory with the listing `h100` and the renter `ada`, who has money and rents some of its GPUs
 *  for an hour from now, or for `seconds`. Prices and deposit are in minor units of USDC/6. Throws unless the rental is active. */
export const createActiveRental = async ({
  listedGpus = 1,
  gpuCount = 1,
  pricePerGpuHour = 3_600_000n,
  deposit = 10_000_000n,
  seconds = 3600n,
} = {}) => {
  const market = createMarket()
  await market.list('h100', listedGpus, usdc(pricePerGpuHour))
  await market.deposit('ada', deposit)
  const request = { renter: 'ada', idempotencyKey: 'rental', listing: 'h100', gpuCount, seconds }
  const rented = await requestRental(market, { ...request, maxPricePerGpuHour: usdc(pricePerGpuHour) })
  if (isRefusal(rented)) throw new Error(rented.refused)
  if (rented.outcome !== 'active') throw new Error(`The rental was rejected: ${rented.code}`)
  return { ...market, rental: rented.rental }
}
