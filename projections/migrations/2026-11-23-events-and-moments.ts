import { Migration } from '@mikro-orm/migrations'

/** The index of the log, and the columns of rentals for lists as of a moment. */
const statements = [
  `create table "read"."events" (
    "id" text collate "C" not null,
    "stream" text collate "C" not null,
    "revision" bigint not null,
    "type" text collate "C" not null,
    "day" text collate "C" not null,
    "correlation_id" text collate "C" not null,
    "party" text collate "C" null,
    "position" text collate "C" not null,
    "updated_at" timestamptz(3) not null,
    primary key ("id")
  )`,
  `create index "events_stream_id_index" on "read"."events" ("stream", "id")`,
  `create index "events_type_id_index" on "read"."events" ("type", "id")`,
  `create index "events_day_id_index" on "read"."events" ("day", "id")`,
  `create index "events_correlation_id_id_index" on "read"."events" ("correlation_id", "id")`,
  `create index "events_party_stream_id_index" on "read"."events" ("party", "stream", "id") where (party is not null)`,
  `alter table "read"."rentals"
    add column "requested_position" text collate "C" null, add column "requested_by" timestamptz(3) null,
    add column "active_position" text collate "C" null, add column "active_by" timestamptz(3) null,
    add column "over_position" text collate "C" null, add column "over_by" timestamptz(3) null,
    add column "settled_position" text collate "C" null, add column "settled_by" timestamptz(3) null,
    add column "latest_time" timestamptz(3) null`,
] as const

export class EventsAndMoments extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
