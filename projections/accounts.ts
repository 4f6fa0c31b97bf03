import type { Event } from '../domain/account.ts'
import type { Asset, Money } from '../domain/money.ts'
import { type AccountRow, accountsTable } from './accounts.table.ts'
import type { ReadModels } from './database.ts'
import { type EventMetadata, projection } from './engine/projection.ts'

/** Returns the id of the row of a user and an asset. */
export const accountKey = (user: string, asset: Asset): string => `${user}:${asset}`

const movedBy = (
  row: AccountRow | undefined,
  { id: user }: EventMetadata,
  { asset }: Money,
  change: { readonly available?: bigint; readonly held?: bigint },
) => ({
  user,
  asset,
  available: (row?.available ?? 0n) + (change.available ?? 0n),
  held: (row?.held ?? 0n) + (change.held ?? 0n),
})

/** The balances of users, folded from their accounts. */
export const accounts = projection<Event, AccountRow>({
  name: 'accounts',
  version: 1,
  table: accountsTable,
  key: (event, { id }) =>
    accountKey(id, event.type === 'HoldRefused' ? event.amount.asset : event.posting.amount.asset),
  fold: {
    DepositCredited: (row, { posting: { amount } }, metadata) =>
      movedBy(row, metadata, amount, { available: amount.amount }),
    FundsHeld: (row, { posting: { amount } }, metadata) =>
      movedBy(row, metadata, amount, { available: -amount.amount, held: amount.amount }),
    HoldRefused: (row) => row,
    HoldCaptured: (row, { posting: { amount } }, metadata) => movedBy(row, metadata, amount, { held: -amount.amount }),
    HoldReleased: (row, { posting: { amount } }, metadata) =>
      movedBy(row, metadata, amount, { available: amount.amount, held: -amount.amount }),
    EarningsCredited: (row, { posting: { amount } }, metadata) =>
      movedBy(row, metadata, amount, { available: amount.amount }),
  },
})

/** Resolves to the balances of a user by asset; to an empty list for a user without money. */
export const accountBalances = (read: ReadModels, user: string): Promise<readonly AccountRow[]> =>
  read.run('accounts.balances', (db) =>
    db.selectFrom('Account').selectAll().where('user', '=', user).orderBy('asset').execute(),
  )
