import { Failure } from '../../domain/errors.ts'
import { type Money, money } from '../../domain/money.ts'
import { findInvoice, listInvoices } from '../../projections/invoices.ts'
import { builder } from './builder.ts'
import { reachPosition, requireWallet } from './context.ts'
import { MoneyType, moneyOrNull } from './money.ts'
import { Invoice, Rental } from './nodes.ts'
import { requireOwner, sees, walletArgument } from './owners.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'

// The node

type Line = { readonly eventId: string; readonly description: string; readonly seconds: number; readonly amount: Money }

const InvoiceLine = builder.objectRef<Line>('InvoiceLine').implement({
  fields: (t) => ({
    eventId: t.exposeID('eventId', { description: 'The event that the line charges for.' }),
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
      resolve: ({ lines, asset }) =>
        lines.map((line) => ({
          ...line,
          seconds: Number(line.seconds),
          amount: money(BigInt(line.amount), asset),
        })),
    }),
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

// Queries

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
      const invoice = await findInvoice(context.services.read, id)
      if (invoice && !sees(context, [invoice.renter, invoice.provider])) throw new Failure('NOT_YOURS')
      return invoice ?? null
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
