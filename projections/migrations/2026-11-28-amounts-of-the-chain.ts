import { Migration } from '@mikro-orm/migrations'

/** The columns of amounts, by table. A wider numeric of the same scale leaves the rows as they are. */
const amounts = {
  accounts: ['available', 'held'],
  invoices: ['price_per_gpu_hour', 'total', 'released'],
  ledger_entries: ['amount'],
  listings: ['price_per_gpu_hour'],
  payments: ['amount'],
  rentals: ['max_price_per_gpu_hour', 'price_per_gpu_hour', 'held', 'charged', 'released'],
} as const

/** Holds what a chain can count: amounts of 78 digits and their sums, and ids of chains above 2^31. */
const statements = [
  ...Object.entries(amounts).map(
    ([table, columns]) =>
      `alter table "read"."${table}" ${columns.map((column) => `alter column "${column}" type numeric(97,0)`).join(', ')}`,
  ),
  `alter table "read"."payments" alter column "chain_id" type bigint`,
]

export class AmountsOfTheChain extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
