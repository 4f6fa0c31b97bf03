import { money } from '../domain/money.ts'
import type { InvoiceLine } from '../domain/rental.ts'
import type { Cause, Process } from './saga.ts'

type Ended = Cause<'rental', 'RentalEnded'>

/** The lease that ended. Throws when history could not have happened. */
const lease = ({ state, id }: Ended) => {
  if (state.status !== 'ended') throw new Error(`Rental ${id} is ${state.status}, not ended`)
  return state
}

/** A line for each metered period, citing the event that it charges for. */
const invoiceLines = ({ history, state }: Ended): InvoiceLine[] => {
  const gpus = state.status === 'ended' ? `${state.gpuCount} × ${state.gpu}` : ''
  let before = 0n
  const lines: InvoiceLine[] = []
  for (const { event, eventId } of history) {
    if (event.type !== 'UsageMetered') continue
    lines.push({
      eventId,
      description: `${gpus}, second ${before + 1n} to ${event.runSeconds}`,
      seconds: event.runSeconds - before,
      amount: event.fee,
    })
    before = event.runSeconds
  }
  return lines
}

/** From the end of a rental to its invoice: take what was used out of the hold and release the rest, pay the provider, free
 *  the GPUs, write the invoice. Only forwards: what was used is owed. */
export const settle: Process<'rental', 'RentalEnded'> = {
  name: 'settle',
  starts: { aggregate: 'rental', type: 'RentalEnded' },
  steps: [
    {
      name: 'capture',
      do: (cause) => ({
        to: 'account',
        id: lease(cause).renter,
        command: { type: 'CaptureHold', rental: cause.id, charge: cause.event.charged },
      }),
    },
    {
      name: 'pay provider',
      do: (cause) => {
        const { provider } = lease(cause)
        const amount = cause.event.charged
        if (amount.amount === 0n) return undefined
        return {
          to: 'account',
          id: provider,
          command: { type: 'CreditEarnings', user: provider, rental: cause.id, amount },
        }
      },
    },
    {
      name: 'free',
      do: (cause) => ({ to: 'listing', id: lease(cause).listing, command: { type: 'FreeCapacity', rental: cause.id } }),
    },
    {
      name: 'invoice',
      do: (cause, { HoldReleased }, now) => {
        const released = HoldReleased?.posting.amount ?? money(0n, cause.event.charged.asset)
        return {
          to: 'rental',
          id: cause.id,
          command: { type: 'IssueInvoice', lines: invoiceLines(cause), released, issuedAt: now },
        }
      },
    },
  ],
}
