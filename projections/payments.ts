import type { Event } from '../domain/payment.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import type { Page, PageRequest } from './page.ts'
import { type PaymentRow, paymentsTable } from './payments.table.ts'
import { findByIds, findOne, newestFirst, whereEqual } from './queries.ts'

/** Deposits on chain. */
export const payments = projection<Event, PaymentRow>({
  name: 'payments',
  version: 1,
  table: paymentsTable,
  key: (_, { id }) => id,
  fold: {
    DepositObserved: (row, { user, amount, chainId, transactionHash, blockNumber, blockHash }, { time }) => ({
      user,
      status: 'observed',
      amount: amount.amount,
      asset: amount.asset,
      chainId,
      transactionHash,
      blockNumber,
      blockHash,
      observedAt: row?.observedAt ?? time,
      finalizedAt: null,
    }),
    DepositFinalized: (row, _, metadata) => ({
      ...existing(row, metadata),
      status: 'final',
      finalizedAt: metadata.time,
    }),
    DepositVanished: (row, _, metadata) => ({ ...existing(row, metadata), status: 'vanished' }),
  },
})

/** Finds payments with one query, in the order of the ids. */
export const findPayments = findByIds<PaymentRow>('payments.find', (db) => db.selectFrom('Payment').selectAll())

/** Finds one payment. */
export const findPayment = findOne(findPayments)

export type PaymentList = PageRequest & {
  readonly user?: string | undefined
  readonly transactionHash?: string | undefined
}

/** Resolves to one page of payments, the newest first. Throws INPUT_INVALID. */
export const listPayments = (read: ReadModels, list: PaymentList): Promise<Page<PaymentRow>> => {
  const { user, transactionHash } = list
  return newestFirst(read, 'payments.list', list, 'observedAt', (db) =>
    whereEqual(db.selectFrom('Payment').selectAll(), { user, transactionHash }),
  )
}

/** The most payments that the watcher reads at once. The oldest come first, so the rest is read the next time. */
export const pendingRowsMax = 500

/** Resolves to deposits that were observed in a block up to `blockNumberMax` and are not final yet. At most
 *  `pendingRowsMax`. */
export const pendingPayments = (read: ReadModels, blockNumberMax: bigint): Promise<readonly PaymentRow[]> =>
  read.run('payments.pending', (db) =>
    db
      .selectFrom('Payment')
      .selectAll()
      .where('status', '=', 'observed')
      .where('blockNumber', '<=', blockNumberMax)
      .orderBy('blockNumber')
      .orderBy('id')
      .limit(pendingRowsMax)
      .execute(),
  )

/** Resolves to how many deposits of a user on a chain are final. */
export const countFinalPayments = async (read: ReadModels, user: string, chainId: number): Promise<bigint> => {
  const [row] = await read.run('payments.count final', (db) =>
    db
      .selectFrom('Payment')
      .select((eb) => eb.fn.countAll<string>().as('count'))
      .where('user', '=', user)
      .where('chainId', '=', chainId)
      .where('status', '=', 'final')
      .execute(),
  )
  return BigInt(row?.count ?? 0)
}
