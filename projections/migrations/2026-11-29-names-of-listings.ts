import { Migration } from '@mikro-orm/migrations'

/** What listings are found by, however many models and regions have been listed; searches see open ones alone. */
const statements = [
  `alter table "read"."listings"
    add column "gpu_key" text collate "C" null, add column "gpu_model" text collate "C" null,
    add column "region_tags" text[] null`,
  'drop index "read"."listings_gpu_index"',
  'drop index "read"."listings_price_per_gpu_hour_id_index"',
  `create index "listings_price_per_gpu_hour_id_index" on "read"."listings" ("price_per_gpu_hour", "id")
    where status = 'open'`,
  `create index "listings_gpu_key_price_per_gpu_hour_id_index" on "read"."listings" ("gpu_key", "price_per_gpu_hour", "id")
    where status = 'open'`,
  // Without a list of pending entries, which each search would read.
  `create index "listings_region_tags_index" on "read"."listings" using gin ("region_tags")
    with (fastupdate = off) where status = 'open'`,
  'create index "listings_gpu_model_index" on "read"."listings" ("gpu_model")',
] as const

export class NamesOfListings extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
