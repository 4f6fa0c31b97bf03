import type { Process } from './saga.ts'

/** From a deposit that the chain will not undo to money that can be spent. */
export const creditDeposit: Process<'payment', 'DepositFinalized'> = {
  name: 'credit-deposit',
  starts: { aggregate: 'payment', type: 'DepositFinalized' },
  steps: [
    {
      name: 'credit',
      do: ({ id, event }) => ({
        to: 'account',
        id: event.user,
        command: { type: 'CreditDeposit', user: event.user, payment: id, amount: event.posting.amount },
      }),
    },
  ],
}
