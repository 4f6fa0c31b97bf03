import { sleep } from '../../infra/async/sleep.ts'
import type { Client } from '../client.ts'
import type { Printer } from './print.ts'

export type Rented = { readonly id: string; readonly endsAt: string }

/** After Ctrl-C a person waits for no more than that. */
const leaveMsMax = 5_000

/** Ends the rental of a tour that ends early, in 5 s at most, and prints what became of it. A rental that is just being
 *  made is waited for. Where it cannot be ended, prints until when it runs on. */
export const endOnLeaving = async (
  client: Pick<Client, 'mutate'>,
  renting: Promise<Rented>,
  print: Pick<Printer, 'text'>,
  msMax = leaveMsMax,
): Promise<void> => {
  const timer = new AbortController()
  const late = sleep(msMax, timer.signal).then(() => Promise.reject(new Error(`no answer after ${msMax / 1000} s`)))
  late.catch(() => undefined)
  const rented = await Promise.race([renting, late]).catch(() => undefined)
  // No rental was made, or the platform does not answer whether one was.
  if (rented === undefined) return timer.abort()
  const { id, endsAt } = rented
  try {
    await Promise.race([client.mutate('endRental', { rental: id }, 'position'), late])
    print.text(`rental ${id} is ended`, { rental: id })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    print.text(`rental ${id} could not be ended and runs on until ${endsAt}: ${reason}`, { rental: id, endsAt })
  } finally {
    timer.abort()
  }
}
