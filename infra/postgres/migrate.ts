import { Failure } from '../../domain/errors.ts'
import { type NumberedLock, TAKE_LOCK } from '../locks.ts'
import type { Query } from './database.ts'

export type SchemaMigrations = {
  readonly schema: string
  /** Held until the transaction ends, so that one process at a time migrates. */
  readonly lock: NumberedLock
  /** Where the version of the schema is stored. `create` makes the table when it is missing; `record` stores the
   *  version $1. */
  readonly versions: { readonly table: string; readonly create: string; readonly record: string }
  /** The statements of each version, from version 1 on. Forward only: a version that was released is never changed. */
  readonly migrations: readonly (readonly string[])[]
}

/** Makes a schema, or brings it to the newest version that this program knows, in the transaction of `query`. Any
 *  number of processes may do so at once. Throws DATABASE_SCHEMA_NEWER when a newer program has migrated it. */
export const migrateSchema = async (
  query: Query,
  label: string,
  { schema, lock, versions, migrations }: SchemaMigrations,
): Promise<void> => {
  await query(label, TAKE_LOCK, lock)
  await query(label, `create schema if not exists ${schema}`)
  await query(label, versions.create)
  const [newest] = await query<{ version: number }>(
    label,
    `select coalesce(max(version), 0)::int as version from ${versions.table}`,
  )
  const found = newest?.version ?? 0
  if (found > migrations.length)
    throw new Failure('DATABASE_SCHEMA_NEWER', { schema, found: `${found}`, known: `${migrations.length}` })
  for (const [index, statements] of migrations.entries()) {
    if (index < found) continue
    for (const statement of statements) await query(label, statement)
    await query(label, versions.record, [index + 1])
  }
}
