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
