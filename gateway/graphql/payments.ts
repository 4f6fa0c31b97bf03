import { Failure } from '../../domain/errors.ts'
import { money } from '../../domain/money.ts'
import type { PaymentStatus } from '../../projections/payments.table.ts'
import { findPayment, listPayments, payments } from '../../projections/payments.ts'
import { builder } from './builder.ts'
import { reachPosition, requireWallet } from './context.ts'
import { MoneyType } from './money.ts'
import { Payment } from './nodes.ts'
import { requireOwner, sees, walletArgument } from './owners.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'
import { afterArgument, rowUpdates, updateTypeOf } from './subscriptions.ts'

// The node

const statuses: readonly PaymentStatus[] = ['observed', 'vanished', 'final']
const PaymentStatusType = builder.enumType('PaymentStatus', {
  description: 'observed → final; or observed → vanished → observed, while the chain reorganises.',
  values: statuses,
})

Payment.implement({
  description: 'A deposit on chain. It can be spent once it is final.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The deposit id of the contract.' }),
    status: t.expose('status', { type: PaymentStatusType }),
    user: t.exposeID('user', { description: 'A wallet.' }),
    amount: t.field({ type: MoneyType, resolve: ({ amount, asset }) => money(amount, asset) }),
    chainId: t.expose('chainId', { type: 'SafeInt' }),
    transactionHash: t.exposeString('transactionHash'),
    blockNumber: t.string({ description: 'As decimal text.', resolve: ({ blockNumber }) => String(blockNumber) }),
    blockHash: t.exposeString('blockHash'),
    observedAt: t.expose('observedAt', { type: 'DateTime' }),
    finalizedAt: t.expose('finalizedAt', { type: 'DateTime', nullable: true }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
})

// Queries

builder.queryField('payment', (t) =>
  t.field({
    type: Payment,
    nullable: true,
    description:
      'A payment of the viewer; any payment for auditors and operators. Fails with PAYMENT_UNKNOWN, NOT_YOURS.',
    args: { id: t.arg.id({ required: true }), ...atLeastArgument },
    resolve: async (_, { id, atLeast }, context, info) => {
      requireWallet(context)
      await reachPosition(context, atLeast, info)
      const payment = await findPayment(context.services.read, id)
      if (!payment) throw new Failure('PAYMENT_UNKNOWN', { payment: id })
      if (!sees(context, [payment.user])) throw new Failure('NOT_YOURS')
      return payment
    },
  }),
)

const PaymentConnection = connectionOf('Payment', Payment)

builder.queryField('payments', (t) =>
  t.field({
    type: PaymentConnection,
    description: 'The payments of the viewer, or of the wallet, newest first.',
    args: { ...walletArgument, ...pageArguments, ...atLeastArgument },
    resolve: async (_, { wallet, atLeast, ...page }, context, info) => {
      const user = requireOwner(context, wallet)
      await reachPosition(context, atLeast, info)
      const request = { ...pageRequest(page), user }
      const found = await listPayments(context.services.read, request)
      return toConnection(found, request, ({ observedAt, id }) => [observedAt, id])
    },
  }),
)

builder.queryField('paymentsOfTransaction', (t) =>
  t.field({
    type: PaymentConnection,
    description:
      'The payments that were last seen in a transaction of the chain, newest first: those of the viewer; all of them for auditors and operators.',
    args: {
      transactionHash: t.arg.id({ required: true, description: '0x and 64 hexadecimal digits.' }),
      ...pageArguments,
      ...atLeastArgument,
    },
    resolve: async (_, { transactionHash, atLeast, ...page }, context, info) => {
      const wallet = requireWallet(context)
      await reachPosition(context, atLeast, info)
      const user = sees(context, []) ? undefined : wallet
      const request = { ...pageRequest(page), user, transactionHash: transactionHash.toLowerCase() }
      const found = await listPayments(context.services.read, request)
      return toConnection(found, request, ({ observedAt, id }) => [observedAt, id])
    },
  }),
)

// Subscription

const PaymentUpdate = updateTypeOf('PaymentUpdate', 'payment', Payment, { startsWithSnapshot: false })

builder.subscriptionField('paymentUpdated', (t) =>
  t.field({
    type: PaymentUpdate,
    description: 'Each change of any payment of the viewer.',
    args: afterArgument,
    subscribe: (_, { after }, context) => {
      const wallet = requireWallet(context)
      return rowUpdates(context, { projection: payments, matches: ({ user }) => user === wallet, after })
    },
    resolve: (update) => update,
  }),
)
