import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { ReadModels } from '../../projections/database.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import { compareWithRebuild } from '../../projections/engine/verify.ts'
import { ledgerEntries, ledgerSums } from '../../projections/ledger-entries.ts'
import { chartOf } from '../worlds/market.ts'
import { createComplaints, figure, type Proof } from './proof.ts'

const plain = (value: unknown): string =>
  JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner))

/** Proves that each read model equals a fresh fold of the whole log, row by row and column by column. */
export const proveReadModels = async (options: {
  readonly store: Pick<EventStore, 'readAll'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly projections: readonly Projection[]
}): Promise<Proof> => {
  const { store, database, projections } = options
  const complaints = createComplaints()
  for (const { projection, id, problem, columns } of await compareWithRebuild({ store, database, projections }))
    complaints.add(`${projection} row ${id}: ${problem} ${plain(columns)}`)
  // The comparison leaves out what a parked stream holds back; nothing here is poison, so none may be.
  const parked = await database.query<{ sentence: string }>('chaos.parked', PARKED)
  for (const { sentence } of parked) complaints.add(sentence)
  let rows = 0n
  for (const { table } of projections) {
    const [counted] = await database.query<{ rows: bigint }>('chaos.rows', `select count(*) as rows from ${table.name}`)
    rows += counted?.rows ?? 0n
  }
  return {
    name: 'every projection equals a fresh rebuild, row by row',
    looked: `${figure(rows)} rows of ${projections.length} projections`,
    complaints: complaints.list(),
  }
}

const PARKED = `select projection || ' has parked ' || stream || ' at revision ' || revision || ': ' || message as sentence
  from read.parked_streams order by projection, stream`

/** Proves that at rest all money is where it belongs: nothing is left in transit, no account is overdrawn, the sum per
 *  asset is zero, the read model has the same figures, and no rental, GPU or hold was left behind. */
export const proveLedger = async (options: {
  readonly store: EventStore
  readonly database: Pick<Database, 'query'>
  readonly read: ReadModels
}): Promise<Proof> => {
  const { store, database, read } = options
  const complaints = createComplaints()
  const chart = await chartOf({ ...store, readAll: () => store.readAll({ types: ledgerEntries.types }) })
  for (const [account, amount] of chart) {
    if (account.startsWith('transit:') && amount !== 0n) complaints.add(`${account} keeps ${amount}`)
    if (account.startsWith('user:') && amount > 0n) complaints.add(`${account} is overdrawn by ${amount}`)
  }
  const { accounts, assets } = await ledgerSums(read)
  for (const { asset, sum } of assets) if (sum !== 0n) complaints.add(`the sum of ${asset} is ${sum}`)
  if (accounts.length !== chart.size)
    complaints.add(`the read model knows ${accounts.length} accounts, the log ${chart.size}`)
  for (const { account, figure: amount } of accounts)
    if (chart.get(account) !== amount)
      complaints.add(`${account} has ${amount} in the read model, ${chart.get(account)} in the log`)
  for (const sentence of await leftBehind(database)) complaints.add(sentence)
  return {
    name: 'the ledger is even, and nothing is left behind',
    looked: `${figure(chart.size)} accounts`,
    complaints: complaints.list(),
  }
}

const LEFT_BEHIND = [
  `select 'rental ' || id || ' stands still, ' || status as sentence from read.rentals
    where status not in ('settled', 'rejected') order by id limit 20`,
  `select 'listing ' || id || ' has ' || free_gpus || ' of ' || gpu_count || ' GPUs free' as sentence from read.listings
    where free_gpus <> gpu_count order by id limit 20`,
  `select 'account ' || id || ' holds ' || held || ' for no rental' as sentence from read.accounts
    where held <> 0 order by id limit 20`,
] as const

/** Resolves to what is unfinished in the market, one sentence each; at most 20 of a kind. */
export const leftBehind = async ({ query }: Pick<Database, 'query'>): Promise<readonly string[]> => {
  const found: string[] = []
  for (const statement of LEFT_BEHIND)
    found.push(...(await query<{ sentence: string }>('chaos.left', statement)).map(({ sentence }) => sentence))
  return found
}
