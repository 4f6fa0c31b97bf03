import { collectInvoiceLines } from '../domain/invoice-lines.ts'
import { money } from '../domain/money.ts'
import type { InvoiceLine } from '../domain/rental.ts'
import { sagaNames, settleSteps } from './names.ts'
import type { Saga, Trigger } from './saga.ts'

type Ended = Trigger<'rental', 'RentalEnded', readonly InvoiceLine[]>

/** Returns the lease that ended. Throws for a history that cannot have happened. */
const lease = ({ state, id }: Ended) => {
  if (state.status !== 'ended') throw new Error(`Rental ${id} is ${state.status}, not ended`)
  return state
}

/** The settlement of a rental, from its end to its invoice: take the charge out of the hold and release the rest, pay
 *  the provider, free the GPUs, issue the invoice. There is no compensation: what was used is owed. */
export const settle: Saga<'rental', 'RentalEnded', readonly InvoiceLine[]> = {
  name: sagaNames.settle,
  starts: { aggregate: 'rental', type: 'RentalEnded' },
  isDone: ({ status }) => status === 'settled',
  gather: () => {
    const { add, lines } = collectInvoiceLines()
    return { add: ({ event, eventId }) => add(event, eventId), gathered: lines }
  },
  steps: [
    {
      name: settleSteps.capture,
      invoke: (trigger) => ({
        to: 'account',
        id: lease(trigger).renter,
        command: { type: 'CaptureHold', rental: trigger.id, charge: trigger.event.charged },
      }),
    },
    {
      name: settleSteps.payProvider,
      invoke: (trigger) => {
        const { provider } = lease(trigger)
        const amount = trigger.event.charged
        if (amount.amount === 0n) return undefined
        return {
          to: 'account',
          id: provider,
          command: { type: 'CreditEarnings', user: provider, rental: trigger.id, amount },
        }
      },
    },
    {
      name: settleSteps.free,
      invoke: (trigger) => ({
        to: 'listing',
        id: lease(trigger).listing,
        command: { type: 'FreeCapacity', rental: trigger.id },
      }),
    },
    {
      name: settleSteps.invoice,
      invoke: (trigger, { HoldReleased }, now) => {
        const released = HoldReleased?.posting.amount ?? money(0n, trigger.event.charged.asset)
        return {
          to: 'rental',
          id: trigger.id,
          command: { type: 'IssueInvoice', lines: trigger.gathered, released, issuedAt: now },
        }
      },
    },
  ],
}
