import { money } from '../domain/money.ts'
import type { InvoiceLine } from '../domain/rental.ts'
import { sagaNames, settleSteps } from './names.ts'
import type { Saga, Trigger } from './saga.ts'

type Ended = Trigger<'rental', 'RentalEnded'>

/** Returns the lease that ended. Throws for a history that cannot have happened. */
const lease = ({ state, id }: Ended) => {
  if (state.status !== 'ended') throw new Error(`Rental ${id} is ${state.status}, not ended`)
  return state
}

/** Returns a line for each metered period, which cites the event that it charges for. */
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

/** The settlement of a rental, from its end to its invoice: take the charge out of the hold and release the rest, pay
 *  the provider, free the GPUs, issue the invoice. There is no compensation: what was used is owed. */
export const settle: Saga<'rental', 'RentalEnded'> = {
  name: sagaNames.settle,
  starts: { aggregate: 'rental', type: 'RentalEnded' },
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
          command: { type: 'IssueInvoice', lines: invoiceLines(trigger), released, issuedAt: now },
        }
      },
    },
  ],
}
