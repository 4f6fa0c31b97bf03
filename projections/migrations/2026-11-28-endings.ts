import { Migration } from '@mikro-orm/migrations'

/** The columns of rentals that end when their last job has ended, and the grace time of jobs. */
const statements = [
  `alter table "read"."rentals"
    add column "open_jobs" int not null default 0,
    add column "end_requested_at" timestamptz(3) null,
    add column "ending_position" text collate "C" null, add column "ending_by" timestamptz(3) null`,
  `alter table "read"."jobs" add column "grace_seconds" int null`,
] as const

export class Endings extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
