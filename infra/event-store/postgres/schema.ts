import { Failure } from '../../../domain/errors.ts'
import { locks } from '../../locks.ts'
import { type Database, migrateSchema, type Query } from '../../postgres.ts'
import type { Epoch } from '../position.ts'

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

/** Appends a whole batch in one statement, one transaction and one commit. Bind variables:
 *    per append: stream_names, expecteds (-1 no stream, -2 stream exists, -3 any), unit_of (appends with the same
 *    number
 *      are stored all or none, counted from 1), first_of (index of its first event, counted from 1, with one more at
 *      the end: all events + 1)
 *    per event, in the order of the appends: append_of, event_ids, event_types, event_data, event_metadata
 *  Returns one row per append: the verdict, and the revision and position of its last event; for a conflict, the actual
 *  revision. A stream and an event id may occur only once in a batch: the writer ensures that.
 *
 *  - The lock comes first and is held until after the commit is visible. So positions are in commit order: a reader
 *    that sees position n sees all below it, and needs no snapshot horizon: contract case "a subscriber tails 32
 *    appenders".
 *  - Each statement below takes its snapshot after the lock was granted; in a stricter isolation level the snapshot
 *    would be older than the lock and two creates of one stream would meet in a unique violation, hence the check.
 *  - Known ids are looked up before the expected revision is judged: a repetition comes with a revision that was right
 *    once.
 *  - Only the type and the data are compared: a repetition comes later and perhaps from another actor, so metadata
 *    differ.
 *  - The planner is pinned to index lookups: plans are made once per connection, also while the table is still empty,
 *    and a sequential scan that was right then would stay. */
const functionAppend = `
create function log.append(
  stream_names text[], expecteds bigint[], unit_of int[], first_of int[],
  append_of int[], event_ids uuid[], event_types text[], event_data json[], event_metadata json[]
) returns table (verdict text, revision text, at text)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
as $body$
declare
  appends constant int := cardinality(stream_names);
  verdicts text[];
  revisions bigint[];
  positions bigint[] := array_fill(null::bigint, array[appends]);
  revision_bases bigint[] := array_fill(null::bigint, array[appends]);
  position_bases bigint[] := array_fill(null::bigint, array[appends]);
  failed boolean[] := array_fill(false, array[unit_of[appends]]);
  repeats boolean[] := array_fill(false, array[unit_of[appends]]);
  some_known boolean;
  known record;
  head bigint;
  events int;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'log.append needs the isolation level read committed';
  end if;
  perform pg_advisory_xact_lock(${locks.append.join(', ')});

  select array_agg(coalesce(
      (select e.version from log.events e where e.stream_id = s.name order by e.version desc limit 1), -1) order by s.n)
    into revisions from unnest(stream_names) with ordinality s(name, n);
  some_known := exists (select from unnest(event_ids) k(id) join log.events e on e.event_id = k.id);

  for i in 1..appends loop
    verdicts[i] := case
      when expecteds[i] = -3 or expecteds[i] = revisions[i] or (expecteds[i] = -2 and revisions[i] >= 0) then 'appended'
      else 'conflict' end;
    if some_known then
      select count(*) as found, bool_and(e.stream_id = stream_names[i]) as here,
          min(e.version - k.n) = max(e.version - k.n) as in_order,
          bool_and(e.type = k.type and e.data::jsonb = k.data::jsonb) as same,
          max(e.version) as version, max(e.position) as position
        into known
        from rows from (unnest(event_ids[first_of[i]:first_of[i + 1] - 1]),
          unnest(event_types[first_of[i]:first_of[i + 1] - 1]), unnest(event_data[first_of[i]:first_of[i + 1] - 1]))
          with ordinality k(id, type, data, n)
        join log.events e on e.event_id = k.id;
      if known.found > 0 then
        verdicts[i] := case
          when known.found < first_of[i + 1] - first_of[i] then 'partly known'
          when not known.here or not known.in_order then 'known elsewhere'
          when not known.same then 'other content'
          else 'repeated' end;
        revisions[i] := known.version;
        positions[i] := known.position;
        repeats[unit_of[i]] := true;
      end if;
    end if;
  end loop;

  for i in 1..appends loop
    if repeats[unit_of[i]] and verdicts[i] in ('appended', 'conflict') then
      verdicts[i] := 'partly known';
    end if;
    failed[unit_of[i]] := failed[unit_of[i]] or verdicts[i] not in ('appended', 'repeated');
  end loop;

  select coalesce((select e.position from log.events e order by e.position desc limit 1), 0) into head;
  for i in 1..appends loop
    if verdicts[i] = 'appended' and failed[unit_of[i]] then
      verdicts[i] := 'withheld';
    elsif verdicts[i] = 'appended' then
      events := first_of[i + 1] - first_of[i];
      revision_bases[i] := revisions[i] + 1 - first_of[i];
      position_bases[i] := head + 1 - first_of[i];
      revisions[i] := revisions[i] + events;
      head := head + events;
      positions[i] := head;
    end if;
  end loop;

  insert into log.events (position, version, created_at, event_id, stream_id, type, data, metadata)
  select position_bases[e.append] + e.n, revision_bases[e.append] + e.n, clock_timestamp(), e.id, stream_names[e.append],
      e.type, e.data, e.metadata
    from rows from (unnest(append_of), unnest(event_ids), unnest(event_types), unnest(event_data), unnest(event_metadata))
      with ordinality e(append, id, type, data, metadata, n)
    where position_bases[e.append] is not null;

  return query select verdicts[i], revisions[i]::text, positions[i]::text from generate_series(1, appends) i order by i;
end $body$`

/** Tries the common case of a batch first: every stream is at its expected revision, and no id is known. All else goes
 *  to log.append. Same bind variables, and `careful`: skip the attempt. Returns one text: the position before the first
 *  event when all was appended at the expected revisions; or a line `verdict:revision:position` per append, as
 *  log.append returns.
 *
 *  - Nothing is looked up that an index checks anyway: a known id or a taken revision is a unique violation, and the
 *    attempt is rolled back. It leaves dead rows, so a writer with conflicts sets `careful` for a while. No index
 *    checks that the previous revision exists, so that is looked up, by its key.
 *  - 'any' and 'stream exists' name no revision, so they are left to log.append.
 *  Takes half the time of log.append for one event and three quarters for a hundred (bench: append). */
const functionAppendBatch = `
create function log.append_batch(
  stream_names text[], expecteds bigint[], unit_of int[], first_of int[],
  append_of int[], event_ids uuid[], event_types text[], event_data json[], event_metadata json[], careful boolean
) returns text
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $body$
declare
  head bigint;
  expected_are_there boolean;
  answer text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'log.append_batch needs the isolation level read committed';
  end if;
  perform pg_advisory_xact_lock(${locks.append.join(', ')});

  if not careful then
    begin
      select coalesce((select e.position from log.events e order by e.position desc limit 1), 0),
          not exists (
            select from unnest(stream_names, expecteds) a(name, expected)
            where a.expected <> -1 and (
              select true from log.events e where e.stream_id = a.name and e.version = a.expected offset 0) is null)
        into head, expected_are_there;
      if expected_are_there then
        insert into log.events (position, version, created_at, event_id, stream_id, type, data, metadata)
        select head + e.n, expecteds[e.append] + 1 + e.n - first_of[e.append], clock_timestamp(), e.id,
            stream_names[e.append], e.type, e.data, e.metadata
          from unnest(append_of, event_ids, event_types, event_data, event_metadata)
            with ordinality e(append, id, type, data, metadata, n);
        return head::text;
      end if;
    exception when unique_violation then
      null;
    end;
  end if;

  select string_agg(concat(a.verdict, ':', a.revision, ':', a.at), E'\n' order by a.n) into answer
    from log.append(stream_names, expecteds, unit_of, first_of, append_of, event_ids, event_types, event_data,
      event_metadata) with ordinality a(verdict, revision, at, n);
  return answer;
end $body$`

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
  return { store: `pg-${storeId}`, epochs }
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
