import { locks } from '../locks.ts'
import type { Database } from './database.ts'
import { migrateSchema } from './migrate.ts'

/** What the platform stores about its own work, beside the log. None of it is part of the history of the market. */
const migrations = [
  [`create table ops.consumers (name text primary key, position text not null)`],
  [
    `create table ops.heartbeats (
     rental text primary key,
     acknowledged_ms bigint not null,
     last_beat_at timestamptz not null
   )`,
  ],
  [`create table ops.cursors (name text primary key, block numeric(39, 0) not null)`],
  [
    `alter table ops.cursors
     add column hash text,
     add column chain text,
     add column custody_block numeric(39, 0),
     add column custody_contract numeric(78, 0),
     add column custody_ledger numeric(78, 0),
     add column custody_checked_at timestamptz`,
    `create table ops.rescans (
     id bigint generated always as identity primary key,
     cursor_name text not null,
     requested_by text not null,
     requested_at timestamptz not null default now(),
     from_block numeric(39, 0) not null,
     to_block numeric(39, 0) not null,
     next_block numeric(39, 0) not null,
     recovered bigint not null default 0,
     done_at timestamptz
   )`,
    `create index on ops.rescans (cursor_name, id) where done_at is null`,
  ],
] as const

/** One row that holds the version. */
const versions = {
  table: 'ops.version',
  create: 'create table if not exists ops.version (version int not null)',
  record: `
with updated as (update ops.version set version = $1 returning version)
insert into ops.version (version) select $1 where not exists (select from updated)`,
} as const

/** Makes the schema `ops`, or brings it to the newest version that this program knows; any number of processes may do
 *  so at once. Throws DATABASE_SCHEMA_NEWER when a newer program has migrated it. */
export const migrateOperations = (database: Pick<Database, 'transaction'>): Promise<void> =>
  database.transaction('operations.migrate', (query) =>
    migrateSchema(query, 'operations.migrate', { schema: 'ops', lock: locks.migrateOperations, versions, migrations }),
  )
