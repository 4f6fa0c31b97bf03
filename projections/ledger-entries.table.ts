import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import { amount, key, moment, readSchema, stamps } from './engine/table.ts'

/** One row per event that moved money; the id is the id of the event. Debit and credit are accounts of the chart. */
export const ledgerEntriesTable = defineEntity({
  name: 'LedgerEntry',
  tableName: 'ledger_entries',
  schema: readSchema,
  properties: {
    id: key().primary(),
    type: p.text(),
    stream: key(),
    debit: key().index(),
    credit: key().index(),
    amount: amount(),
    asset: p.text().$type<Asset>(),
    time: moment(),
    correlationId: key().index(),
    causationId: key(),
    ...stamps(),
  },
  uniques: [{ properties: ['position'] }],
})
export type LedgerEntryRow = InferEntity<typeof ledgerEntriesTable>
