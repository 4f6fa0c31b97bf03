import { Failure } from '../../../domain/errors.ts'
import { locks } from '../../locks.ts'
import { type Database, migrateSchema, type Query } from '../../postgres.ts'
import { type Epoch, storePrefixes } from '../position.ts'
import { functionAppend, functionAppendBatch, functionAppendExpected } from './append-functions.ts'

/** One row per event. Positions have no gaps: they are handed out under the lock of the append, so an append that is
 *  rolled back leaves none. `json` and not `jsonb`: cheaper both ways, and the text comes back as it was written. Names
 *  compare by their bytes (collate "C"), which is what a prefix range needs. */
const tableOfEvents = `
create table log.events (
  position bigint primary key,
  version bigint not null,
  created_at timestamptz not null,
  event_id uuid not null,
  stream_id text collate "C" not null,
  type text collate "C" not null,
  data json not null,
  metadata json not null,
  constraint events_stream_version unique (stream_id, version),
  constraint events_event_id unique (event_id)
)`

/** The id is part of every position, so that a position of another database is refused. */
const tableOfStore = `
create table log.store (only_row boolean primary key default true check (only_row), id text not null)`

const newStoreId = `
insert into log.store (id) values (left(replace(gen_random_uuid()::text, '-', ''), 10))`

/** Statement triggers see also a statement that touches no row, and TRUNCATE. `always`: not even a session that plays
 *  the replica (session_replication_role) passes. */
const refusals = `
create function log.refuse_change() returns trigger language plpgsql as $body$
begin
  raise exception 'log.% is append-only: % is refused', tg_table_name, tg_op
    using errcode = 'restrict_violation', hint = 'Append an event that corrects it instead.';
end $body$`

const refuseOn = (table: string): readonly string[] => [
  `create trigger append_only before update or delete or truncate on log.${table}
     for each statement execute function log.refuse_change()`,
  `alter table log.${table} enable always trigger append_only`,
]

/** For readers of a few types among many (a read model that is built anew): they are found without reading the events
 *  between. Makes appends slower by about one in twenty-five. It may exist already: on a long log, create it before the
 *  upgrade, under this name and concurrently, so that no append waits (ADR 17). */
const indexOfTypes = 'create index if not exists events_type_position on log.events (type, position)'

/** A row for each time that the log was put back to an earlier state and adopted. Events after this position have
 *  the name of the epoch in theirs. */
const tableOfEpochs = `
create table log.epochs (
  name text collate "C" primary key,
  after_position bigint not null,
  begun_at timestamptz not null default now()
)`

/** Forward only. A migration that was released is never changed: add another. A program of the version before may still
 *  be running, so what it calls stays. */
const migrations: readonly (readonly string[])[] = [
  [tableOfEvents, tableOfStore, newStoreId, refusals, ...refuseOn('events'), ...refuseOn('store'), functionAppend],
  [functionAppendBatch, indexOfTypes],
  [tableOfEpochs, ...refuseOn('epochs')],
  [functionAppendExpected],
]

/** One row per version, with the time of its migration. */
const versions = {
  table: 'log.schema_versions',
  create: `create table if not exists log.schema_versions (
      version int primary key, applied_at timestamptz not null default now())`,
  record: 'insert into log.schema_versions (version) values ($1)',
} as const

/** Brings the schema `log` to the newest version that this program knows, or leaves it as it is; any number of
 *  processes may do so at once. Resolves to the id of the store, and its epochs. Throws DATABASE_SCHEMA_NEWER when a newer program has
 *  migrated it. */
export const migrateEventStore = (database: Pick<Database, 'transaction'>): Promise<LogIdentity> =>
  database.transaction('eventStore.migrate', async (query) => {
    await migrateSchema(query, 'eventStore.migrate', { schema: 'log', lock: locks.migrateLog, versions, migrations })
    return readIdentity((text) => query('eventStore.migrate', text))
  })

type LogIdentity = { readonly storeId: string; readonly epochs: readonly Epoch[] }

const readIdentity = async (
  look: (text: string) => Promise<Readonly<Record<string, unknown>>[]>,
): Promise<LogIdentity> => {
  const [store] = await look('select id from log.store')
  const epochs = await look('select name, after_position as after from log.epochs order by name')
  return { storeId: String(store?.id), epochs: epochs as unknown as Epoch[] }
}

/** Resolves to the store and its epochs; undefined where there is no log, or one of before there were epochs. */
export const readEpochs = async ({
  query,
}: {
  readonly query: Query
}): Promise<{ readonly store: string; readonly epochs: readonly Epoch[] } | undefined> => {
  const look = (text: string) => query<Readonly<Record<string, unknown>>>('eventStore.check', text, [], { retry: true })
  const [table] = await look(`select to_regclass('log.epochs') is not null as there`)
  if (!table?.there) return undefined
  const { storeId, epochs } = await readIdentity(look)
  return { store: `${storePrefixes.postgres}${storeId}`, epochs }
}

/** Begins an epoch after the last event of the log. */
export const beginEpoch = async ({ query }: { readonly query: Query }, name: string): Promise<void> => {
  await query('eventStore.beginEpoch', BEGIN_EPOCH, [name])
}

const BEGIN_EPOCH = `insert into log.epochs (name, after_position)
  select $1, coalesce(max(e.position), 0) from log.events e`

/** Checks that the schema `log` is at the version that this code knows, and changes nothing: for read-only callers.
 *  Throws LOG_NOT_FOUND when there is none, DATABASE_SCHEMA_OLDER and DATABASE_SCHEMA_NEWER. */
export const checkEventStore = async ({ query }: { readonly query: Query }): Promise<LogIdentity> => {
  const look = (text: string) => query<Readonly<Record<string, unknown>>>('eventStore.check', text, [], { retry: true })
  const [schema] = await look(`select to_regclass('log.schema_versions') is not null as there`)
  if (!schema?.there) throw new Failure('LOG_NOT_FOUND', { where: 'the database has no schema log' })
  const [newest] = await look('select coalesce(max(version), 0)::int as version from log.schema_versions')
  const details = { schema: 'log', found: `${newest?.version}`, known: `${migrations.length}` }
  if (Number(newest?.version) > migrations.length) throw new Failure('DATABASE_SCHEMA_NEWER', details)
  if (Number(newest?.version) < migrations.length) throw new Failure('DATABASE_SCHEMA_OLDER', details)
  return readIdentity(look)
}
