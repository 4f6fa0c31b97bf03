import { costOf } from '../domain/money.ts'
import { hourlyRate } from '../domain/rental.ts'
import { type Cause, need, type Process } from './saga.ts'
import { plusSeconds } from './time.ts'

/** Steps that are not done by then are refused, wherever they are asked for. */
const deadlineSeconds = 30

type Requested = Cause<'rental', 'RentalRequested'>
const notAfter = ({ event }: Requested) => plusSeconds(event.requestedAt, deadlineSeconds)

/** From a wish to a lease: reserve the GPUs, hold the money for the whole time, start the clock. When a step is refused the
 *  rental is rejected with its code, and what was done before is undone. The request that asked for the rental walks
 *  these steps itself; should it die on the way, the durable subscription walks them to the end. */
export const rentAGpu: Process<'rental', 'RentalRequested'> = {
  name: 'rent-a-gpu',
  starts: { aggregate: 'rental', type: 'RentalRequested' },
  steps: [
    {
      name: 'reserve',
      do: (cause, _facts, now) => {
        const { listing, gpuCount, maxPricePerGpuHour } = cause.event
        const command = {
          type: 'ReserveCapacity',
          rental: cause.id,
          gpuCount,
          maxPricePerGpuHour,
          at: now,
          notAfter: notAfter(cause),
        } as const
        return { to: 'listing', id: listing, command }
      },
      undo: ({ id, event }) => ({ to: 'listing', id: event.listing, command: { type: 'FreeCapacity', rental: id } }),
    },
    {
      name: 'hold',
      do: (cause, facts, now) => {
        const { renter, seconds } = cause.event
        const amount = costOf(hourlyRate(need(facts, 'CapacityReserved')), seconds)
        const command = {
          type: 'HoldFunds',
          user: renter,
          rental: cause.id,
          amount,
          at: now,
          notAfter: notAfter(cause),
        } as const
        return { to: 'account', id: renter, command }
      },
      undo: ({ id, event }) => ({ to: 'account', id: event.renter, command: { type: 'ReleaseHold', rental: id } }),
    },
    {
      name: 'activate',
      do: (cause, facts, now) => {
        const { provider, gpu, pricePerGpuHour } = need(facts, 'CapacityReserved')
        const held = need(facts, 'FundsHeld').posting.amount
        const lease = {
          provider,
          gpu,
          pricePerGpuHour,
          held,
          startedAt: now,
          endsAt: plusSeconds(now, Number(cause.event.seconds)),
        }
        return { to: 'rental', id: cause.id, command: { type: 'ActivateRental', ...lease } }
      },
    },
  ],
  rejected: ({ id }, code, now) => ({ to: 'rental', id, command: { type: 'RejectRental', code, rejectedAt: now } }),
}
