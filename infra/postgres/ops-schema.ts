import { Failure } from '../../domain/errors.ts'
import { locks, TAKE_LOCK } from '../locks.ts'
import type { Database } from './database.ts'

/** What the platform remembers about its own work, beside the log: nothing here is a fact about the market. */
const migrations = [
  `create table ops.consumers (name text primary key, position text not null)`,
  `create table ops.heartbeats (
     rental text primary key,
     acknowledged_ms bigint not null,
     last_beat_at timestamptz not null
   )`,
  `create table ops.cursors (name text primary key, block numeric(39, 0) not null)`,
] as const

/** Makes the schema `ops`, or brings it up to this program's version; any number of processes may do so at once.
 *  Throws DATABASE_SCHEMA_NEWER when a newer program was here. */
export const migrateOperations = (database: Pick<Database, 'transaction'>): Promise<void> =>
  database.transaction('operations.migrate', async (query) => {
    await query('operations.lock', TAKE_LOCK, locks.migrateOperations)
    await query('operations.schema', 'create schema if not exists ops')
    await query('operations.version table', 'create table if not exists ops.version (version int not null)')
    const [row] = await query<{ version: number }>('operations.version', 'select version from ops.version')
    const version = row?.version ?? 0
    if (version > migrations.length)
      throw new Failure('DATABASE_SCHEMA_NEWER', {
        schema: 'ops',
        found: String(version),
        known: String(migrations.length),
      })
    for (const migration of migrations.slice(version)) await query('operations.migration', migration)
    await query(
      'operations.set version',
      row ? 'update ops.version set version = $1' : 'insert into ops.version (version) values ($1)',
      [migrations.length],
    )
  })
