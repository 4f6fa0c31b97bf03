// The schema of PostgreSQL with the result of a replay. It is built beside the former one and replaces it in one
// transaction. No statement here names a schema that was not made by a replay, and no text of an analyst is part of a
// statement.

import type { AnyRow, TableShape } from '../../analysis/replay.ts'
import { Failure } from '../../domain/errors.ts'
import { inChunks } from '../../infra/async/chunks.ts'
import { replayLock } from '../../infra/locks.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { errorCode } from '../../infra/system/errors.ts'
import { decode, encode, sqlTypeOf } from './columns.ts'
import { schemaNameMax } from './load.ts'
import type { Storage } from './state.ts'

const rowsAtOnceMax = 2_000
/** Marks a schema and its tables as those of a replay: the comment on each begins with it. */
const mark = 'NeuralMesh replay'
const lockTimeout = "set local lock_timeout = '2s'"
const sqlStates = { stillNeeded: '2BP01', locked: '55P03' }

export type BuildingSchema = {
  readonly storage: Storage
  /** Replaces the former result. Resolves to the reason when the former one could not be removed: it then stays beside,
   *  until the next replay. */
  publish(about: Readonly<Record<string, unknown>>): Promise<string | undefined>
  /** Removes everything that was built so far. */
  abandon(): Promise<void>
}

/** Returns a quoted name. Identifiers were checked to consist of a-z, 0-9 and _, and are quoted as well. */
const quoted = (...names: readonly string[]): string => names.map((name) => `"${name}"`).join('.')
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Throws INPUT_INVALID for a name that no replay may have. */
export const checkSchemaName = (schema: string): void => {
  if (!/^replay_[a-z0-9_]+$/.test(schema) || schema.length > schemaNameMax)
    throw new Failure('INPUT_INVALID', { schema, takes: `replay_ and a-z, 0-9, _, at most ${schemaNameMax}` })
}

/** This transaction alone may idle: it lasts as long as the replay. */
const CLAIM = `select pg_try_advisory_xact_lock($1, hashtext($2)) as free,
  set_config('idle_in_transaction_session_timeout', '0', true)`

/** Runs the work while no other replay may build the same schema. Throws REPLAY_SCHEMA_IN_USE. */
export const whileClaimed = <T>(database: Database, schema: string, work: () => Promise<T>): Promise<T> =>
  database.transaction('replay.claim', async (query) => {
    const [row] = await query<{ free: boolean }>('replay.claim', CLAIM, [...replayLock(schema)])
    if (!row?.free) throw new Failure('REPLAY_SCHEMA_IN_USE', { schema, reason: 'another replay is building it' })
    return work()
  })

/** Makes a schema with empty tables beside the former result, which stays unchanged.
 *  Throws REPLAY_SCHEMA_FOREIGN when a schema of that name was not made by a replay, REPLAY_SCHEMA_IN_USE when
 *  something else depends on the former result. */
export const buildSchema = async (
  database: Database,
  schema: string,
  tables: readonly TableShape[],
): Promise<BuildingSchema> => {
  checkSchemaName(schema)
  const building = `${schema}__building`
  const former = `${schema}__former`
  const run = (text: string) => database.query('replay.schema', text)

  for (const name of [schema, building, former]) await checkOwn(database.query, name)
  await run(`drop schema if exists ${quoted(building)} cascade`)
  await dropSchema(database, former)
  await database.transaction('replay.rehearse', (query) => tryDrop(query, schema)).catch(unlessRolledBack)
  await database.transaction('replay.create', async (query) => {
    await query('replay.create', `create schema ${quoted(building)}`)
    await query('replay.create', `comment on schema ${quoted(building)} is ${literal(`${mark}: being built`)}`)
    for (const table of tables)
      for (const statement of tableOf(building, table)) await query('replay.create', statement)
  })

  const publish: BuildingSchema['publish'] = async (about) => {
    for (const { name, lookup } of tables) await run(`${lookup ? 'drop table' : 'analyze'} ${quoted(building, name)}`)
    await database.transaction('replay.publish', async (query) => {
      const exists = await checkOwn(query, schema)
      const execute = (text: string) => query('replay.publish', text)
      // A rename needs no lock on the tables: readers of the former result go on and finish.
      if (exists) await execute(`alter schema ${quoted(schema)} rename to ${quoted(former)}`)
      await execute(`alter schema ${quoted(building)} rename to ${quoted(schema)}`)
      await execute(`comment on schema ${quoted(schema)} is ${literal(`${mark} ${JSON.stringify(about)}`)}`)
    })
    return dropSchema(database, former).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
  }
  return {
    storage: storageIn(database.query, building),
    publish,
    abandon: async () => {
      await run(`drop schema if exists ${quoted(building)} cascade`)
    },
  }
}

const COMMENT_OF = `select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = $1`

/** Resolves to whether there is such a schema, made by a replay. Throws REPLAY_SCHEMA_FOREIGN for one that no replay
 *  made. */
const checkOwn = async (query: Query, schema: string): Promise<boolean> => {
  const [found] = await query<{ comment: string | null }>('replay.schema', COMMENT_OF, [schema])
  if (found && !found.comment?.startsWith(mark))
    throw new Failure('REPLAY_SCHEMA_FOREIGN', { schema, comment: found.comment ?? 'none' })
  return found !== undefined
}

const OUR_TABLES = `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relkind = 'r' and obj_description(c.oid, 'pg_class') like $2 || '%'`

/** Drops a schema and the tables that replays made in it, and nothing else. Throws when other objects are in the schema
 *  or depend on a table of it. */
const dropOwn = async (query: Query, schema: string): Promise<void> => {
  if (!(await checkOwn(query, schema))) return
  await query('replay.drop', lockTimeout)
  const tables = await query<{ name: string }>('replay.drop', OUR_TABLES, [schema, mark])
  if (tables.length > 0)
    await query('replay.drop', `drop table ${tables.map(({ name }) => quoted(schema, name)).join(', ')}`)
  await query('replay.drop', `drop schema ${quoted(schema)}`)
}

const dropSchema = (database: Database, schema: string): Promise<void> =>
  database
    .transaction('replay.drop', (query) => dropOwn(query, schema))
    .catch((error: unknown) => {
      throw inUse(error, schema)
    })

const inUse = (error: unknown, schema: string): unknown => {
  const { code, detail, message } = error as { code?: string; detail?: string; message?: string }
  if (code === sqlStates.locked)
    return new Failure('REPLAY_SCHEMA_IN_USE', { schema, reason: 'another session is reading it' }, error)
  return code === sqlStates.stillNeeded
    ? new Failure('REPLAY_SCHEMA_IN_USE', { schema, reason: detail ?? message ?? code }, error)
    : error
}

const rolledBack = Symbol('rehearsed')

/** Drops the former result and rolls back, so that an object that depends on it is found now and not after hours. */
const tryDrop = async (query: Query, schema: string): Promise<never> => {
  await dropOwn(query, schema).catch((error: unknown) => {
    // Sessions that read it now will have finished by then.
    if (errorCode(error) !== sqlStates.locked) throw inUse(error, schema)
  })
  throw rolledBack
}

const unlessRolledBack = (error: unknown): void => {
  if (error !== rolledBack) throw error
}

const tableOf = (schema: string, { name, key, columns }: TableShape): string[] => [
  `create table ${quoted(schema, name)} (
    ${columns.map((column) => `${quoted(column.name)} ${sqlTypeOf(column.column)}`).join(', ')},
    primary key (${key.map((column) => quoted(column.name)).join(', ')}))`,
  `comment on table ${quoted(schema, name)} is ${literal(mark)}`,
  ...columns.flatMap(({ name: column, column: { asset } }) =>
    asset ? [`comment on column ${quoted(schema, name, column)} is ${literal(`whole units of ${asset}`)}`] : [],
  ),
]

/** Makes the storage of rows in a schema. Rows travel as one JSON parameter: the plan does not grow with them, and the
 *  types come from the table itself. */
const storageIn = (query: Query, schema: string): Storage => {
  const statementsOf = (table: TableShape) => {
    const target = quoted(schema, table.name)
    const names = (columns: TableShape['columns'], alias = '') =>
      columns.map(({ name }) => `${alias}${quoted(name)}`).join(', ')
    const given = `jsonb_populate_recordset(null::${target}, $1::jsonb)`
    const changes = table.columns.filter(({ name }) => !table.key.some((part) => part.name === name))
    const update = changes.map(({ name }) => `${quoted(name)} = excluded.${quoted(name)}`).join(', ')
    return {
      load: `select ${names(table.columns, 't.')} from ${given} k join ${target} t
        on (${names(table.key, 't.')}) = (${names(table.key, 'k.')})`,
      save: `insert into ${target} (${names(table.columns)}) select ${names(table.columns)} from ${given}
        on conflict (${names(table.key)}) do ${update === '' ? 'nothing' : `update set ${update}`}`,
      remove: `delete from ${target} t using ${given} k where (${names(table.key, 't.')}) = (${names(table.key, 'k.')})`,
    }
  }
  const encoded = (columns: TableShape['columns'], rows: readonly AnyRow[]): string =>
    JSON.stringify(
      rows.map((row) =>
        Object.fromEntries(columns.map(({ property, name, column }) => [name, encode(column, row[property])])),
      ),
    )
  return {
    load: async (table, keys) => {
      const found = await inChunks(keys, rowsAtOnceMax, (part) =>
        query<AnyRow>('replay.load', statementsOf(table).load, [encoded(table.key, part)]),
      )
      return found
        .flat()
        .map((raw) =>
          Object.fromEntries(table.columns.map(({ property, name, column }) => [property, decode(column, raw[name])])),
        )
    },
    save: async (table, rows) => {
      await inChunks(rows, rowsAtOnceMax, (part) =>
        query('replay.save', statementsOf(table).save, [encoded(table.columns, part)]),
      )
    },
    remove: async (table, keys) => {
      await inChunks(keys, rowsAtOnceMax, (part) =>
        query('replay.remove', statementsOf(table).remove, [encoded(table.key, part)]),
      )
    },
  }
}
