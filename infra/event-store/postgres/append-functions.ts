import { locks } from '../../locks.ts'

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
export const functionAppend = `
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
export const functionAppendBatch = `
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

/** Appends a batch in the common case: every append names the revision of its stream, each stream is there, and no id
 *  is known. Returns the position before the first event; null when it is another case, and then nothing was written.
 *  Bind variables:
 *    stream_names, expecteds: streams that the writer has not seen at this revision yet
 *    per event: event_streams, event_versions, event_ids, event_types, event_data, event_metadata
 *    known_position, known_id: the latest event that the writer knows of this log; while it knows none, known_store.
 *  Throws division_by_zero when the log lacks it, as the condition of known.ts does.
 *
 *  - The latest event of the writer is nearly always the last of the log, and that is read anyway.
 *  - Expressions instead of statements where there is a choice, and settings for one transaction by set_config: those
 *    of the function would cost each call 7 µs apiece.
 *  - One event is looked up before, which costs less than a block that can be rolled back. In a batch the unique indexes
 *    report a known id or a taken revision, as in log.append_batch. */
export const functionAppendExpected = `
create function log.append_expected(
  stream_names text[], expecteds bigint[], event_streams text[], event_versions bigint[], event_ids uuid[],
  event_types text[], event_data json[], event_metadata json[], known_position bigint, known_id uuid, known_store text
) returns bigint
language plpgsql
as $body$
declare
  head bigint;
  head_id uuid;
  ignored text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'log.append_expected needs the isolation level read committed';
  end if;
  ignored := set_config('enable_seqscan', 'off', true) || set_config('plan_cache_mode', 'force_generic_plan', true);
  ignored := (pg_advisory_xact_lock(${locks.append.join(', ')}) is null)::text;

  select e.position, e.event_id into head, head_id from log.events e order by e.position desc limit 1;
  if known_position is null then
    perform 1 / count(*) from log.store s where s.id = known_store;
  elsif head_id is distinct from known_id or head <> known_position then
    perform 1 / count(*) from log.events e where e.position = known_position and e.event_id = known_id;
  end if;
  head := coalesce(head, 0);

  if cardinality(event_ids) = 1 then
    insert into log.events (position, version, created_at, event_id, stream_id, type, data, metadata)
    select head + 1, event_versions[1], clock_timestamp(), event_ids[1], event_streams[1], event_types[1], event_data[1],
        event_metadata[1]
      where not exists (select from log.events e where e.event_id = event_ids[1])
        and event_versions[1] - 1 = coalesce((
          select e.version from log.events e where e.stream_id = event_streams[1] order by e.version desc limit 1), -1);
    return case when found then head end;
  end if;

  begin
    insert into log.events (position, version, created_at, event_id, stream_id, type, data, metadata)
    select head + e.n, e.version, clock_timestamp(), e.id, e.stream, e.type, e.data, e.metadata
      from unnest(event_streams, event_versions, event_ids, event_types, event_data, event_metadata)
        with ordinality e(stream, version, id, type, data, metadata, n)
      where not exists (
        select from unnest(stream_names, expecteds) a(name, expected)
        where (select true from log.events e where e.stream_id = a.name and e.version = a.expected offset 0) is null);
    return case when found then head end;
  exception when unique_violation then
    return null;
  end;
end $body$`
