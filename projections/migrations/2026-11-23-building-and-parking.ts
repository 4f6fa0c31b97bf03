import { Migration } from '@mikro-orm/migrations'

/** Tables for versions that are built beside the live ones, and for parked streams. */
const statements = [
  `create schema if not exists "read_build"`,
  `alter table "read"."checkpoints" add column "parked" int not null default 0, add column "retries" int not null default 0`,
  `create table "read"."builds" (
    "projection" text collate "C" not null,
    "version" int not null,
    "position" text collate "C" not null,
    "failure" jsonb null,
    "updated_at" timestamptz(3) not null,
    "parked" int not null default 0,
    "retries" int not null default 0,
    "began_at" timestamptz(3) not null,
    "began_position" text collate "C" not null,
    primary key ("projection")
  )`,
  `create table "read"."parked_streams" (
    "projection" text collate "C" not null,
    "version" int not null,
    "stream" text collate "C" not null,
    "revision" bigint not null,
    "position" text collate "C" not null,
    "type" text not null,
    "code" text not null,
    "message" text not null,
    "held" bigint not null,
    "since" timestamptz(3) not null,
    primary key ("projection", "version", "stream")
  )`,
] as const

export class BuildingAndParking extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }
}
