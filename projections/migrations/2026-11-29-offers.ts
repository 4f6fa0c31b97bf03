import { Migration } from '@mikro-orm/migrations'

/** The index in which placement finds the cheapest listings that fit. */
const statement = `create index "listings_offers_index" on "read"."listings"
  ("gpu_key", "asset", "price_per_gpu_hour", "free_gpus", "id", "gpu_count", "vram_mib") where status = 'open'`

export class Offers extends Migration {
  override up(): void {
    this.addSql(statement)
  }
}
