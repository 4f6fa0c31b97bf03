import { Failure } from '../../domain/errors.ts'
import { followMoney, type MoneyUse, type MoneyUses, payerOf, providerOf } from '../../projections/money-uses.ts'
import { builder } from './builder.ts'
import { requireWallet } from './context.ts'
import { isExactlyOne } from './inputs.ts'
import { MoneyType } from './money.ts'
import { FundingSource } from './money-trace.ts'
import { Invoice, Rental } from './nodes.ts'
import { sees } from './owners.ts'

// The nodes

const MoneyUseType = builder.objectRef<MoneyUse>('MoneyUse').implement({
  description: 'A rental whose hold has some of the money.',
  fields: (t) => ({
    id: t.exposeID('rental', { description: 'The id of the rental: moneyTrace has its whole path.' }),
    rental: t.field({ type: Rental, nullable: true, resolve: (use, _, { loaders }) => loaders.rental(use.rental) }),
    invoice: t.field({
      type: Invoice,
      nullable: true,
      description: 'Null until it is issued.',
      resolve: (use, _, { loaders }) => loaders.invoice(use.rental),
    }),
    held: t.expose('held', { type: MoneyType, description: 'The part of its hold that was this money.' }),
    spent: t.expose('spent', { type: MoneyType, description: 'The part of its cost that was paid with this money.' }),
  }),
})

/** The most uses in one answer. */
const usesMax = 100

const MoneyUsesType = builder.objectRef<MoneyUses>('MoneyUses').implement({
  description: 'Where the money of a payment, or of what a rental earned, went.',
  fields: (t) => ({
    source: t.expose('source', { type: FundingSource }),
    id: t.exposeID('id', { description: 'The id of the payment, or of the rental that earned it.' }),
    owner: t.exposeID('owner', { description: 'The wallet that paid or earned it.' }),
    uses: t.field({
      type: [MoneyUseType],
      description: `In the order of their holds. At most ${usesMax}, from offset on.`,
      args: { offset: t.arg.int({ defaultValue: 0 }) },
      resolve: ({ uses }, { offset }) => {
        const from = Math.max(0, offset ?? 0)
        return uses.slice(from, from + usesMax)
      },
    }),
    usesCount: t.int({ description: 'The number of all uses.', resolve: ({ uses }) => uses.length }),
  }),
})

// Query

builder.queryField('moneyUses', (t) =>
  t.field({
    type: MoneyUsesType,
    nullable: true,
    description:
      'The rentals that money was held and spent for: the other direction of the funding of moneyTrace. Takes exactly one of payment and rental. Reads the log itself. For the wallet that paid or earned it, auditors and operators. Fails with PAYMENT_UNKNOWN, RENTAL_UNKNOWN, NOT_YOURS.',
    args: {
      payment: t.arg.id({ description: 'Follows the money of this payment.' }),
      rental: t.arg.id({ description: 'Follows what the provider of this rental earned from it.' }),
    },
    resolve: async (_, { payment, rental }, context) => {
      requireWallet(context)
      if (!isExactlyOne(payment, rental))
        throw new Failure('INPUT_INVALID', { payment: 'takes exactly one of payment and rental' })
      const { store } = context.services
      const id = payment ?? rental ?? ''
      const source = id === payment ? 'deposit' : 'earnings'
      const owner = await (source === 'deposit' ? payerOf(store, id) : providerOf(store, id))
      if (owner === undefined)
        throw source === 'deposit'
          ? new Failure('PAYMENT_UNKNOWN', { payment: id })
          : new Failure('RENTAL_UNKNOWN', { rental: id })
      if (!sees(context, [owner])) throw new Failure('NOT_YOURS')
      return followMoney(store, { source, id, owner })
    },
  }),
)
