import { creditSteps, sagaNames } from './names.ts'
import type { Saga } from './saga.ts'

/** From a final deposit, which the chain cannot undo, to available money. */
export const creditDeposit: Saga<'payment', 'DepositFinalized'> = {
  name: sagaNames.creditDeposit,
  starts: { aggregate: 'payment', type: 'DepositFinalized' },
  steps: [
    {
      name: creditSteps.credit,
      invoke: ({ id, event }) => ({
        to: 'account',
        id: event.user,
        command: { type: 'CreditDeposit', user: event.user, payment: id, amount: event.posting.amount },
      }),
    },
  ],
}
