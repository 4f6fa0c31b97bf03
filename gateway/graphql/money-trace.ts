import { Failure } from '../../domain/errors.ts'
import type { Posting } from '../../domain/ledger.ts'
import { type Funding, type MoneyTrace, type TraceStep, traceMoney } from '../../projections/money-trace.ts'
import { builder } from './builder.ts'
import { requireWallet } from './context.ts'
import { MoneyType } from './money.ts'

// The nodes

const PostingType = builder.objectRef<Posting>('Posting').implement({
  description: 'One balanced entry of the ledger.',
  fields: (t) => ({
    debit: t.exposeString('debit'),
    credit: t.exposeString('credit'),
    amount: t.expose('amount', { type: MoneyType }),
  }),
})

const FundingSource = builder.enumType('FundingSource', { values: ['deposit', 'earnings'] as const })

const FundingType = builder.objectRef<Funding>('Funding').implement({
  description: 'A source of the held money. Money that came in first is spent first.',
  fields: (t) => ({
    source: t.expose('source', { type: FundingSource }),
    id: t.exposeID('id', { description: 'The id of the payment, or of the rental that earned it.' }),
    amount: t.expose('amount', { type: MoneyType }),
  }),
})

const TraceStepType = builder.objectRef<TraceStep>('TraceStep').implement({
  description: 'One event that moved the money.',
  fields: (t) => ({
    position: t.expose('position', { type: 'Position' }),
    eventId: t.exposeID('eventId'),
    type: t.exposeString('type'),
    stream: t.exposeString('stream'),
    time: t.expose('time', { type: 'DateTime' }),
    what: t.exposeString('what', { description: 'A description in English.' }),
    posting: t.field({ type: PostingType, nullable: true, resolve: ({ posting }) => posting ?? null }),
    cites: t.idList({
      description: 'The events or transactions that it is based on.',
      resolve: ({ cites }) => [...cites],
    }),
  }),
})

const MoneyTraceType = builder.objectRef<MoneyTrace>('MoneyTrace').implement({
  description: 'The money of one rental, from the chain transactions to the invoice lines, in the order of the log.',
  fields: (t) => ({
    rental: t.exposeID('rental'),
    renter: t.exposeID('renter'),
    provider: t.id({ nullable: true, resolve: ({ provider }) => provider ?? null }),
    funding: t.field({ type: [FundingType], resolve: ({ funding }) => [...funding] }),
    steps: t.field({ type: [TraceStepType], resolve: ({ steps }) => [...steps] }),
  }),
})

// Query

builder.queryField('moneyTrace', (t) =>
  t.field({
    type: MoneyTraceType,
    nullable: true,
    description:
      'Reads the log itself. Only for the renter, because it shows deposits. Fails with RENTAL_UNKNOWN, NOT_YOURS.',
    args: { rental: t.arg.id({ required: true }) },
    resolve: async (_, { rental }, context) => {
      const wallet = requireWallet(context)
      const trace = await traceMoney(context.services.store, rental)
      if (!trace) throw new Failure('RENTAL_UNKNOWN', { rental })
      if (trace.renter !== wallet) throw new Failure('NOT_YOURS')
      return trace
    },
  }),
)
