import { Migration } from '@mikro-orm/migrations'

/** The index by which payments of a transaction are found. */
const statement =
  'create index "payments_transaction_hash_observed_at_id_index" on "read"."payments" ("transaction_hash", "observed_at", "id")'

export class TransactionsOfPayments extends Migration {
  override up(): void {
    this.addSql(statement)
  }
}
