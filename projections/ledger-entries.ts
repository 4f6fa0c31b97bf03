import type * as account from '../domain/account.ts'
import { streamOf } from '../domain/aggregates.ts'
import { chart, type Posting } from '../domain/ledger.ts'
import type { Asset } from '../domain/money.ts'
import type * as payment from '../domain/payment.ts'
import { isStorable } from '../domain/text.ts'
import type { EventStore, Position } from '../infra/event-store/port.ts'
import type { ReadModels } from './database.ts'
import { type EventMetadata, type PastMoment, projection } from './engine/projection.ts'
import { type LedgerEntryRow, ledgerEntriesTable } from './ledger-entries.table.ts'
import { type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'

type Event = account.Event | payment.Event

const entry = (
  _: LedgerEntryRow | undefined,
  { type, posting: { debit, credit, amount } }: { readonly type: string; readonly posting: Posting },
  { stream, time, correlationId, causationId }: EventMetadata,
) => ({ type, stream, debit, credit, amount: amount.amount, asset: amount.asset, time, correlationId, causationId })

const noMoney = (): undefined => undefined

/** The ledger, folded from the postings of accounts and payments. */
export const ledgerEntries = projection<Event, LedgerEntryRow>({
  name: 'ledger-entries',
  version: 1,
  table: ledgerEntriesTable,
  rowsNeverChange: true,
  key: (event, { eventId }) => ('posting' in event ? eventId : undefined),
  fold: {
    DepositObserved: noMoney,
    DepositVanished: noMoney,
    DepositFinalized: entry,
    DepositCredited: entry,
    FundsHeld: entry,
    HoldRefused: noMoney,
    HoldCaptured: entry,
    HoldReleased: entry,
    EarningsCredited: entry,
  },
})

/** A request for ledger entries. `until`: only entries up to this position. As entries never change, that is the list
 *  as of then. */
export type LedgerEntryList = PageRequest & {
  readonly user?: string | undefined
  readonly until?: Position | undefined
}

/** Resolves to one page of ledger entries, the newest first. With `user`, only entries on the accounts `available` and
 *  `held` of that user. Throws INPUT_INVALID. */
export const listLedgerEntries = async (read: ReadModels, list: LedgerEntryList): Promise<Page<LedgerEntryRow>> => {
  const { user, until } = list
  const [position] = readCursor(list.after, [isStorable]) ?? []
  const rows = await read.run('ledgerEntries.list', (db) => {
    let found = db.selectFrom('LedgerEntry').selectAll()
    if (user !== undefined) {
      const accounts = [chart.available(user), chart.held(user)]
      found = found.where((eb) => eb.or([eb('debit', 'in', accounts), eb('credit', 'in', accounts)]))
    }
    if (until !== undefined) found = found.where('position', '<=', until)
    if (position !== undefined) found = found.where('position', '<', position)
    return found.orderBy('position', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows, list, (row) => [row.position])
}

/** Resolves to the position up to which the entries of a user existed at a moment. All of them are events of the user's
 *  account, so the history of that stream decides. As clocks disagree, its history as of a time ends before its first
 *  event later than that. */
export const lastEntryBy = async (
  store: Pick<EventStore, 'readStream' | 'start'>,
  user: string,
  moment: PastMoment,
): Promise<Position> => {
  if ('position' in moment) return moment.position
  const last = { direction: 'backwards', untilTime: moment.time, limit: 1 } as const
  for await (const { position } of store.readStream(streamOf('account', user), last)) return position
  return store.start
}

/** The balance of an account of the chart. `figure`: debits less credits, in minor units. */
export type AccountFigure = { readonly account: string; readonly asset: Asset; readonly figure: bigint }
/** The balances of all accounts, and their sum per asset. */
export type LedgerSums = {
  readonly accounts: readonly AccountFigure[]
  /** The sum over all accounts of one asset. If it is not zero, the books are wrong. */
  readonly assets: readonly { readonly asset: Asset; readonly sum: bigint }[]
}

/** Resolves to the balance of every account of the chart, and their sum per asset. Reads the whole ledger: for audits,
 *  not for pages. */
export const ledgerSums = async (read: ReadModels): Promise<LedgerSums> => {
  const rows = await read.run('ledgerEntries.sums', (db) =>
    db
      .selectFrom(
        db
          .selectFrom('LedgerEntry')
          .select(['asset', 'debit as account', 'amount as change'])
          .unionAll((eb) =>
            eb
              .selectFrom('LedgerEntry')
              .select(['asset', 'credit as account', (part) => part.neg('amount').as('change')]),
          )
          .as('sides'),
      )
      .select(['asset', 'account', (eb) => eb.fn.sum<string>('change').as('figure')])
      .groupBy(['asset', 'account'])
      .orderBy('account')
      .orderBy('asset')
      .execute(),
  )
  const accounts = rows.map(({ account, asset, figure }) => ({ account, asset, figure: BigInt(figure) }))
  const sums = new Map<Asset, bigint>()
  for (const { asset, figure } of accounts) sums.set(asset, (sums.get(asset) ?? 0n) + figure)
  return { accounts, assets: [...sums].map(([asset, sum]) => ({ asset, sum })) }
}

/** Resolves to the balance of one account of the chart: debits less credits, in minor units. */
export const accountFigure = async (read: ReadModels, account: string, asset: Asset): Promise<bigint> => {
  const sumOf = async (side: 'debit' | 'credit') => {
    const [row] = await read.run(`ledgerEntries.sum of ${side}`, (db) =>
      db
        .selectFrom('LedgerEntry')
        .select((eb) => eb.fn.sum<string | null>('amount').as('sum'))
        .where(side, '=', account)
        .where('asset', '=', asset)
        .execute(),
    )
    return BigInt(row?.sum ?? 0)
  }
  return (await sumOf('debit')) - (await sumOf('credit'))
}
