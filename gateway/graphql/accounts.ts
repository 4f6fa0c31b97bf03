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
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'

// The nodes

const Balance = builder.objectRef<AccountRow>('Balance').implement({
  fields: (t) => ({
    asset: t.exposeString('asset'),
    available: t.field({ type: MoneyType, resolve: ({ available, asset }) => money(available, asset) }),
    held: t.field({
      type: MoneyType,
      description: 'Set aside for rentals that run.',
      resolve: ({ held, asset }) => money(held, asset),
    }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
  }),
})

type Wallet = { readonly wallet: string; readonly asOf?: AsOfInput }

const Account = builder.objectRef<Wallet>('Account').implement({
  description: 'What a wallet has with us.',
  fields: (t) => ({
    id: t.exposeID('wallet'),
    balances: t.field({
      type: [Balance],
      description: 'One for each asset that ever moved.',
      resolve: async ({ wallet, asOf }, _, context) => {
        if (!asOf) return [...(await accountBalances(context.services.read, wallet))]
        const past = { projection: accounts, stream: streamOf('account', wallet) }
        return [...(await rowsAt(context, asOf, past)).values()]
      },
    }),
  }),
})

const Privilege = builder.enumType('Privilege', {
  description: 'What a wallet may do beyond its own business. Operators may do what analysts may.',
  values: {
    none: { description: 'Sees what is its own.' },
    analyst: { description: 'Sees the history of everybody.' },
    operator: { description: 'Sees the history of everybody, and may mend the platform.' },
  } as const,
})

const Viewer = builder.objectRef<Wallet>('Viewer').implement({
  description: 'Who asks.',
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
  description: 'One balanced entry: the same amount leaves one account of the chart and reaches another.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the event that is the entry.' }),
    type: t.exposeString('type'),
    stream: t.exposeString('stream'),
    debit: t.exposeString('debit'),
    credit: t.exposeString('credit'),
    amount: t.field({ type: MoneyType, resolve: ({ amount, asset }) => money(amount, asset) }),
    time: t.expose('time', { type: 'DateTime' }),
    correlationId: t.exposeID('correlationId', { description: 'Shared by all that followed from one request.' }),
    causationId: t.exposeID('causationId', { description: 'The event or command directly before.' }),
    position: t.expose('position', { type: 'Position' }),
  }),
})

const LedgerSum = builder.objectRef<ReturnType<typeof money>>('LedgerSum').implement({
  fields: (t) => ({
    asset: t.exposeString('asset'),
    sum: t.field({ type: MoneyType, description: 'Zero, or the books are wrong.', resolve: (sum) => sum }),
  }),
})

// Queries

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    nullable: true,
    description: 'Null for a guest.',
    args: atLeastArgument,
    resolve: async (_, { atLeast }, context) => {
      await reachPosition(context, atLeast)
      return context.wallet === undefined ? null : { wallet: context.wallet }
    },
  }),
)

builder.queryField('account', (t) =>
  t.field({
    type: Account,
    nullable: true,
    description: 'The account of the viewer.',
    args: { ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { asOf, atLeast }, context) => {
      const wallet = requireWallet(context)
      await reachPosition(context, atLeast)
      return { wallet, asOf }
    },
  }),
)

const LedgerEntryConnection = connectionOf('LedgerEntry', LedgerEntry)

builder.queryField('ledgerEntries', (t) =>
  t.field({
    type: LedgerEntryConnection,
    description: 'The entries that touch the account of the viewer, the newest first.',
    args: { ...listAsOfArgument, ...pageArguments, ...atLeastArgument },
    resolve: async (_, { asOf, atLeast, ...page }, context) => {
      const user = requireWallet(context)
      await reachPosition(context, atLeast)
      const moment = await reachMoment(context, asOf)
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
    resolve: async (_, { atLeast }, context) => {
      requireWallet(context)
      await reachPosition(context, atLeast)
      const { assets } = await ledgerSums(context.services.read)
      return assets.map(({ asset, sum }) => money(sum, asset))
    },
  }),
)
