import { Failure } from '../../domain/errors.ts'
import type { Posting } from '../../domain/ledger.ts'
import type { Funding } from '../../projections/money-funding.ts'
import { type MoneyTrace, renterOf, type TraceStep, traceMoney } from '../../projections/money-trace.ts'
import { builder } from './builder.ts'
import { requireWallet } from './context.ts'
import { MoneyType } from './money.ts'
import { sees } from './owners.ts'

// The nodes

const PostingType = builder.objectRef<Posting>('Posting').implement({
  description: 'One balanced entry of the ledger.',
  fields: (t) => ({
    debit: t.exposeString('debit'),
    credit: t.exposeString('credit'),
    amount: t.expose('amount', { type: MoneyType }),
  }),
})

export const FundingSource = builder.enumType('FundingSource', { values: ['deposit', 'earnings'] as const })

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

/** The most sources of held money in one answer. */
const fundingMax = 100

const MoneyTraceType = builder.objectRef<MoneyTrace>('MoneyTrace').implement({
  description: 'The money of one rental, from the chain transactions to the invoice lines, in the order of the log.',
  fields: (t) => ({
    rental: t.exposeID('rental'),
    renter: t.exposeID('renter'),
    provider: t.id({ nullable: true, resolve: ({ provider }) => provider ?? null }),
    funding: t.field({
      type: [FundingType],
      description: `At most ${fundingMax}, from offset on.`,
      args: { offset: t.arg.int({ defaultValue: 0 }) },
      resolve: ({ funding }, { offset }) => {
        const from = Math.max(0, offset ?? 0)
        return funding.slice(from, from + fundingMax)
      },
    }),
    fundingCount: t.int({ description: 'The number of all sources.', resolve: ({ funding }) => funding.length }),
    steps: t.field({
      type: [TraceStepType],
      description: 'The steps of this page. Those of a deposit stand together with its credit.',
      resolve: ({ steps }) => [...steps],
    }),
    next: t.field({
      type: 'Position',
      nullable: true,
      description: 'Pass it as after for the steps that follow. Null when these are the last.',
      resolve: ({ next }) => next ?? null,
    }),
  }),
})

// Query

builder.queryField('moneyTrace', (t) =>
  t.field({
    type: MoneyTraceType,
    nullable: true,
    description:
      'Reads the log itself. Only for the renter, auditors and operators, because it shows deposits. Fails with RENTAL_UNKNOWN, NOT_YOURS.',
    args: {
      rental: t.arg.id({ required: true }),
      after: t.arg({ type: 'Position', description: 'The next of the page before.' }),
    },
    resolve: async (_, { rental, after }, context) => {
      requireWallet(context)
      const { store } = context.services
      const renter = await renterOf(store, rental)
      if (renter === undefined) throw new Failure('RENTAL_UNKNOWN', { rental })
      if (!sees(context, [renter])) throw new Failure('NOT_YOURS')
      const trace = await traceMoney(store, rental, after ? { after: store.parsePosition(after) } : {})
      if (!trace) throw new Failure('RENTAL_UNKNOWN', { rental })
      return trace
    },
  }),
)
