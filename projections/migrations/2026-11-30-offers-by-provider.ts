import { Migration } from '@mikro-orm/migrations'

/** The index of placement with the provider, so that one listing of each provider is found without other rows. */
const statements = [
  `drop index "read"."listings_offers_index"`,
  `create index "listings_offers_index" on "read"."listings" ("gpu_key", "asset", "price_per_gpu_hour", "free_gpus",
    "id", "gpu_count", "vram_mib", "provider") where status = 'open'`,
]

export class OffersByProvider extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
