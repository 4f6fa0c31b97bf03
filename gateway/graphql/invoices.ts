import { Failure } from '../../domain/errors.ts'
import { type Money, money } from '../../domain/money.ts'
import { type InvoicePeriod, listInvoicePeriods, periodKey } from '../../projections/invoice-periods.ts'
import type { InvoiceLineJson, InvoiceRow } from '../../projections/invoices.table.ts'
import { findInvoice, listInvoices } from '../../projections/invoices.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition, requireWallet } from './context.ts'
import { MoneyType, moneyOrNull } from './money.ts'
import { Invoice, Rental } from './nodes.ts'
import { requireOwner, sees, walletArgument } from './owners.ts'
import { atLeastArgument, connectionOf, firstDefault, pageArguments, pageRequest, toConnection } from './pages.ts'

/** The most lines in one answer: those of a quarter of a year. */
const linesMax = 100

// The node

type Line = Omit<InvoiceLineJson, 'seconds' | 'amount'> & {
  readonly number: number
  readonly seconds: number
  readonly amount: Money
}

const InvoiceLine = builder.objectRef<Line>('InvoiceLine').implement({
  description: 'What was charged in one UTC day.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: 'Counted from 1. Pass it to invoicePeriods.' }),
    firstEventId: t.exposeID('firstEventId', { description: 'The first event that the line charges for.' }),
    lastEventId: t.exposeID('lastEventId', { description: 'The last event that the line charges for.' }),
    periods: t.exposeInt('periods', { description: 'How many events it charges for, from the first to the last.' }),
    description: t.exposeString('description'),
    seconds: t.exposeInt('seconds'),
    amount: t.field({ type: MoneyType, resolve: ({ amount }) => amount }),
  }),
})

Invoice.implement({
  description: 'The cost of a rental, line by line. Visible to its renter and its provider, auditors and operators.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the rental.' }),
    rental: t.field({ type: Rental, nullable: true, resolve: ({ id }, _, { loaders }) => loaders.rental(id) }),
    renter: t.exposeID('renter', { description: 'A wallet.' }),
    provider: t.exposeID('provider', { nullable: true, description: 'A wallet.' }),
    gpu: t.exposeString('gpu', { nullable: true }),
    gpuCount: t.exposeInt('gpuCount'),
    pricePerGpuHour: t.field({
      type: MoneyType,
      nullable: true,
      resolve: ({ pricePerGpuHour, asset }) => moneyOrNull(pricePerGpuHour, asset),
    }),
    runSeconds: t.int({ resolve: ({ runSeconds }) => Number(runSeconds) }),
    lines: t.field({
      type: [InvoiceLine],
      description: 'In their order, from offset on.',
      args: {
        first: t.arg.int({ defaultValue: firstDefault, description: `The number of lines, 1 to ${linesMax}.` }),
        offset: t.arg.int({ defaultValue: 0, description: 'How many lines to leave out.' }),
      },
      resolve: ({ lines, asset }, args) => {
        const [first, from] = [args.first ?? firstDefault, args.offset ?? 0]
        if (first < 1 || first > linesMax)
          throw new Failure('INPUT_INVALID', { first: String(first), takes: `1 to ${linesMax}` })
        if (from < 0) throw new Failure('INPUT_INVALID', { offset: String(from), takes: '0 or more' })
        return lines.slice(from, from + first).map((line, index) => ({
          ...line,
          number: from + index + 1,
          seconds: Number(line.seconds),
          amount: money(BigInt(line.amount), asset),
        }))
      },
    }),
    lineCount: t.int({ description: 'The number of all lines.', resolve: ({ lines }) => lines.length }),
    total: t.field({ type: MoneyType, resolve: ({ total, asset }) => money(total, asset) }),
    released: t.field({
      type: MoneyType,
      description: 'The part of the hold that was released.',
      resolve: ({ released, asset }) => money(released, asset),
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    issuedAt: t.expose('issuedAt', { type: 'DateTime' }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
  }),
})

// The periods of a line

const InvoicePeriodType = builder.objectRef<InvoicePeriod>('InvoicePeriod')
InvoicePeriodType.implement({
  description: 'One event that a line of an invoice charges for.',
  fields: (t) => ({
    eventId: t.exposeID('eventId'),
    runSeconds: t.int({
      description: 'The whole run at its end.',
      resolve: ({ runSeconds }) => Number(runSeconds),
    }),
    seconds: t.int({ description: 'The part that it charges for.', resolve: ({ seconds }) => Number(seconds) }),
    amount: t.field({ type: MoneyType, resolve: ({ amount }) => amount }),
    meteredAt: t.expose('meteredAt', { type: 'DateTime' }),
  }),
})

const InvoicePeriodConnection = connectionOf('InvoicePeriod', InvoicePeriodType)

// Queries

/** Resolves to an issued invoice that the viewer may see. Throws NOT_SIGNED_IN, NOT_YOURS. */
const visibleInvoice = async (context: Context, id: string): Promise<InvoiceRow | undefined> => {
  const invoice = await findInvoice(context.services.read, id)
  if (invoice && !sees(context, [invoice.renter, invoice.provider])) throw new Failure('NOT_YOURS')
  return invoice
}

builder.queryField('invoice', (t) =>
  t.field({
    type: Invoice,
    nullable: true,
    description:
      'The invoice of a rental of the viewer, of any rental for auditors and operators; null until it is issued. Fails with NOT_YOURS.',
    args: { id: t.arg.id({ required: true, description: 'The id of the rental.' }), ...atLeastArgument },
    resolve: async (_, { id, atLeast }, context, info) => {
      requireWallet(context)
      await reachPosition(context, atLeast, info)
      return (await visibleInvoice(context, id)) ?? null
    },
  }),
)

builder.queryField('invoicePeriods', (t) =>
  t.field({
    type: InvoicePeriodConnection,
    nullable: true,
    description:
      'The events that a line of an invoice charges for, in their order; null until the invoice is issued. Reads the log itself. Fails with NOT_YOURS.',
    args: {
      id: t.arg.id({ required: true, description: 'The id of the rental.' }),
      line: t.arg.int({ required: true, description: 'The number of the line, counted from 1.' }),
      ...pageArguments,
      ...atLeastArgument,
    },
    resolve: async (_, { id, line, atLeast, ...page }, context, info) => {
      requireWallet(context)
      await reachPosition(context, atLeast, info)
      const invoice = await visibleInvoice(context, id)
      if (!invoice) return null
      const request = pageRequest(page)
      const of = { rental: id, lines: invoice.lines, line }
      const found = await listInvoicePeriods(context.services.store, of, request)
      return toConnection(found, request, periodKey)
    },
  }),
)

const InvoiceConnection = connectionOf('Invoice', Invoice)

builder.queryField('invoices', (t) =>
  t.field({
    type: InvoiceConnection,
    description: 'The invoices of the viewer, or of the wallet, as renter, newest first.',
    args: { ...walletArgument, ...pageArguments, ...atLeastArgument },
    resolve: async (_, { wallet, atLeast, ...page }, context, info) => {
      const renter = requireOwner(context, wallet)
      await reachPosition(context, atLeast, info)
      const request = { ...pageRequest(page), renter }
      const found = await listInvoices(context.services.read, request)
      return toConnection(found, request, ({ issuedAt, id }) => [issuedAt, id])
    },
  }),
)
