import { streamOf } from '../../domain/aggregates.ts'
import { money } from '../../domain/money.ts'
import type { AccountRow } from '../../projections/accounts.table.ts'
import { accountBalances, accounts } from '../../projections/accounts.ts'
import type { LedgerEntryRow } from '../../projections/ledger-entries.table.ts'
import { lastEntryBy, ledgerSums, listLedgerEntries } from '../../projections/ledger-entries.ts'
import { type AsOfInput, asOfArgument, listAsOfArgument, reachMoment, rowsAt } from './as-of.ts'
import { builder } from './builder.ts'
import { reachPosition, requireWallet } from './context.ts'
import { MoneyType } from './money.ts'
import { Provider } from './nodes.ts'
import { requireOwner, walletArgument } from './owners.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'

// The nodes

const Balance = builder.objectRef<AccountRow>('Balance').implement({
  fields: (t) => ({
    asset: t.exposeString('asset'),
    available: t.field({ type: MoneyType, resolve: ({ available, asset }) => money(available, asset) }),
    held: t.field({
      type: MoneyType,
      description: 'Held for running rentals.',
      resolve: ({ held, asset }) => money(held, asset),
    }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
  }),
})

type Wallet = { readonly wallet: string; readonly asOf?: AsOfInput }

const Account = builder.objectRef<Wallet>('Account').implement({
  description: 'The account of a wallet on this platform.',
  fields: (t) => ({
    id: t.exposeID('wallet'),
    balances: t.field({
      type: [Balance],
      description: 'One for each asset that the account ever had.',
      resolve: async ({ wallet, asOf }, _, context) => {
        if (!asOf) return [...(await accountBalances(context.services.read, wallet))]
        const past = { projection: accounts, stream: streamOf('account', wallet) }
        return [...(await rowsAt(context, asOf, past)).values()]
      },
    }),
  }),
})

const Privilege = builder.enumType('Privilege', {
  description: 'The access of a wallet beyond its own data. Each has the rights of those before it.',
  values: {
    none: { description: 'Sees its own data.' },
    analyst: { description: 'Sees the events of all wallets.' },
    auditor: {
      description: 'Sees the events of all wallets, and their accounts, payments, rentals, invoices and traces.',
    },
    operator: { description: 'Sees the same, all texts of events too, and may repair the platform.' },
  } as const,
})

const Viewer = builder.objectRef<Wallet>('Viewer').implement({
  description: 'The signed-in wallet.',
  fields: (t) => ({
    id: t.exposeID('wallet', { description: 'The wallet, in lower case.' }),
    privilege: t.field({ type: Privilege, resolve: (_viewer, _, { privilege }) => privilege }),
    account: t.field({ type: Account, resolve: (viewer) => viewer }),
    provider: t.field({
      type: Provider,
      nullable: true,
      description: 'Null for a wallet that never registered as a provider.',
      resolve: ({ wallet }, _, { loaders }) => loaders.provider(wallet),
    }),
  }),
})

const LedgerEntry = builder.objectRef<LedgerEntryRow>('LedgerEntry')
LedgerEntry.implement({
  description: 'One balanced entry: it debits one account of the chart and credits another with the same amount.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the event that has the entry.' }),
    type: t.exposeString('type'),
    stream: t.exposeString('stream'),
    debit: t.exposeString('debit'),
    credit: t.exposeString('credit'),
    amount: t.field({ type: MoneyType, resolve: ({ amount, asset }) => money(amount, asset) }),
    time: t.expose('time', { type: 'DateTime' }),
    correlationId: t.exposeID('correlationId', {
      description: 'The same for all events that follow from one request.',
    }),
    causationId: t.exposeID('causationId', { description: 'The event or command that directly caused it.' }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const LedgerSum = builder.objectRef<ReturnType<typeof money>>('LedgerSum').implement({
  fields: (t) => ({
    asset: t.exposeString('asset'),
    sum: t.field({ type: MoneyType, description: 'Always zero when the books are right.', resolve: (sum) => sum }),
  }),
})

// Queries

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    nullable: true,
    description: 'Null for a guest.',
    args: atLeastArgument,
    resolve: async (_, { atLeast }, context, info) => {
      await reachPosition(context, atLeast, info)
      return context.wallet === undefined ? null : { wallet: context.wallet }
    },
  }),
)

builder.queryField('account', (t) =>
  t.field({
    type: Account,
    nullable: true,
    description: 'The account of the viewer, or of the wallet.',
    args: { ...walletArgument, ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { wallet: named, asOf, atLeast }, context, info) => {
      const wallet = requireOwner(context, named)
      await reachPosition(context, atLeast, info)
      return { wallet, asOf }
    },
  }),
)

const LedgerEntryConnection = connectionOf('LedgerEntry', LedgerEntry)

builder.queryField('ledgerEntries', (t) =>
  t.field({
    type: LedgerEntryConnection,
    description: 'The entries that debit or credit the account of the viewer, or of the wallet, newest first.',
    args: { ...walletArgument, ...listAsOfArgument, ...pageArguments, ...atLeastArgument },
    resolve: async (_, { wallet, asOf, atLeast, ...page }, context, info) => {
      const user = requireOwner(context, wallet)
      await reachPosition(context, atLeast, info)
      const moment = await reachMoment(context, asOf, info)
      const until = moment && (await lastEntryBy(context.services.store, user, moment))
      const request = { ...pageRequest(page), user, until }
      return toConnection(await listLedgerEntries(context.services.read, request), request, ({ position }) => [
        position,
      ])
    },
  }),
)

builder.queryField('ledgerSums', (t) =>
  t.field({
    type: [LedgerSum],
    description: 'The sum over all accounts of the platform, per asset. Reads the whole ledger.',
    args: atLeastArgument,
    resolve: async (_, { atLeast }, context, info) => {
      requireWallet(context)
      await reachPosition(context, atLeast, info)
      const { assets } = await ledgerSums(context.services.read)
      return assets.map(({ asset, sum }) => money(sum, asset))
    },
  }),
)
