import type { Event } from '../domain/payment.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { type PaymentRow, paymentsTable } from './payments.table.ts'

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
    DepositFinalized: (row, _, recorded) => ({
      ...existing(row, recorded),
      status: 'final',
      finalizedAt: recorded.time,
    }),
    DepositVanished: (row, _, recorded) => ({ ...existing(row, recorded), status: 'vanished' }),
  },
})

/** Many payments with one query, in the order asked. */
export const findPayments = (read: ReadModels, ids: readonly string[]): Promise<(PaymentRow | undefined)[]> =>
  byIds(ids, (wanted) =>
    read.run('payments.find', (db) => db.selectFrom('Payment').selectAll().where('id', 'in', wanted).execute()),
  )

export const findPayment = async (read: ReadModels, id: string): Promise<PaymentRow | undefined> =>
  (await findPayments(read, [id]))[0]

export type PaymentList = PageRequest & { readonly user?: string | undefined }

/** Payments, the newest first. Throws INPUT_INVALID. */
export const listPayments = async (read: ReadModels, list: PaymentList): Promise<Page<PaymentRow>> => {
  const { user } = list
  const [observedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const rows = await read.run('payments.list', (db) => {
    let found = db.selectFrom('Payment').selectAll()
    if (user !== undefined) found = found.where('user', '=', user)
    if (observedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('observedAt', 'id'), '<', eb.tuple(observedAt, id)))
    return found.orderBy('observedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows, list, (row) => [row.observedAt, row.id])
}

/** The most payments that one look of the watcher takes; the oldest come first, so the rest comes with the next look. */
export const pendingRowsMax = 500

/** Deposits that were seen in a block up to `blockNumberMax` and are not final yet. At most `pendingRowsMax`. */
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
