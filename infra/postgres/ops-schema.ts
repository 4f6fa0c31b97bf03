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
    `create table ops.used_nonces (nonce text primary key, expires_at timestamptz not null)`,
    `create index used_nonces_expires_at on ops.used_nonces (expires_at)`,
  ],
  [
    `create table ops.task_decisions (
     id bigint generated always as identity primary key,
     key text not null,
     task text not null,
     payload text not null,
     attempts int not null,
     error text,
     since timestamptz not null,
     decision text not null check (decision in ('retry', 'give up')),
     decided_by text not null,
     reason text not null,
     decided_at timestamptz not null default now()
   )`,
  ],
  // ops.heartbeats keeps what was acknowledged before there were spans; no row is added to it.
  [
    `create table ops.heartbeat_spans (since timestamptz primary key, until timestamptz not null)`,
    `insert into ops.heartbeat_spans (since, until)
     select max(last_beat_at), max(last_beat_at) from ops.heartbeats having max(last_beat_at) is not null`,
  ],
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
  // Outside the log's database: for a log on a server of its own.
  [
    `create table ops.latest_event (
     only_row boolean primary key default true check (only_row),
     position text not null,
     event_id text not null,
     stream text not null,
     revision bigint not null,
     saved_at timestamptz not null default now()
   )`,
  ],
  // The order of spans is that of their first beats, which is not that of a wall clock that was set. `ahead_ms` is by how
  // much it was ahead of the time of the machine (`beaten_ms`, since its start; `clock` names the start).
  [
    `alter table ops.heartbeat_spans add column number bigint, add column clock text,
     add column beaten_ms bigint, add column ahead_ms bigint`,
    `update ops.heartbeat_spans as span set number = ranked.number
     from (select since, row_number() over (order by since) as number from ops.heartbeat_spans) as ranked
     where ranked.since = span.since`,
    `alter table ops.heartbeat_spans drop constraint heartbeat_spans_pkey,
     alter column number set not null, alter column number add generated always as identity, add primary key (number)`,
    `select setval(pg_get_serial_sequence('ops.heartbeat_spans', 'number'), max(number)) from ops.heartbeat_spans`,
    `create index heartbeat_spans_clock on ops.heartbeat_spans (clock, number)`,
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
