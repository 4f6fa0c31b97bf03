import { sleep } from '../../infra/async/sleep.ts'
import { createListing, createRenter } from './renter.ts'

const renters = 3
const pauseMs = 30

/** Starts renters that rent and return without pause until stopped, so that a kill at any moment meets running sagas.
 *  Requests fail silently while the platform is gone. `stop` resolves to the number of rentals. */
export const startRentingLoad = (url: string): { stop(): Promise<number> } => {
  const stopping = new AbortController()
  let rented = 0
  const rentAgainAndAgain = async (listing: string) => {
    const { client } = await createRenter(url, 1_000_000_000n)
    try {
      while (!stopping.signal.aborted) {
        const request = { listing, seconds: 600, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
        const { id } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
        rented++
        await client.mutate('endRental', { rental: id }, 'position')
        await sleep(pauseMs, stopping.signal)
      }
    } finally {
      await client.close()
    }
  }
  const running = createListing(url, renters, '2.5').then((listing) =>
    Promise.allSettled(Array.from({ length: renters }, () => rentAgainAndAgain(listing))),
  )
  const ended = running.catch(() => undefined)
  return {
    stop: async () => {
      stopping.abort()
      await ended
      return rented
    },
  }
}
