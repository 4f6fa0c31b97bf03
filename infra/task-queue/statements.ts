/** The name is data, like the query labels: graphile-worker calls a task a job. */
export const taskSchema = 'jobs'
const schema = taskSchema
/** How often the library tries a task. */
export const taskTriesMax = 25

/** A task as columns of text: name, payload, time and key. */
export type TaskRow = readonly [name: string, payload: string, runAt: string | null, key: string]

/** Returns the bind variables of the statements below: one array for each column. Of tasks with the same key the last
 *  one counts. */
export const columnsOf = (tasks: readonly TaskRow[]): readonly (readonly (string | null)[])[] => {
  const latest = [...new Map(tasks.map((task) => [task[3], task])).values()]
  return ([0, 1, 2, 3] as const).map((column) => latest.map((task) => task[column]))
}

/** Schedules tasks, and wakes the workers of all processes. */
export const SCHEDULE = `
  select from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as t(name, payload, run_at, key),
    ${schema}.add_job(t.name, payload => t.payload::json, run_at => t.run_at::timestamptz, job_key => t.key,
      job_key_mode => 'replace')`

/** Schedules tasks for later, and wakes no worker: they look for what is due by themselves, and one that is woken finds
 *  nothing. Returns the keys of those that it left alone, for SCHEDULE: they are due already, or the task with
 *  their key is running or parked, or no worker has ever had a handler of their name. Of a task that waits, all is
 *  replaced that add_job replaces. */
export const SCHEDULE_LATER = `
  with t as (
    select name, payload::json, run_at::timestamptz, key
    from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as t(name, payload, run_at, key)
  ), written as (
    insert into ${schema}._private_jobs as j (task_id, payload, run_at, key)
    select k.id, t.payload, t.run_at, t.key
    from t join ${schema}._private_tasks k on k.identifier = t.name
    where t.run_at > now()
      and not exists (select from ${schema}._private_jobs b where b.key = t.key and not b.is_available)
    order by t.key
    on conflict (key) do update set
      job_queue_id = excluded.job_queue_id, task_id = excluded.task_id, payload = excluded.payload,
      run_at = excluded.run_at, max_attempts = excluded.max_attempts, priority = excluded.priority,
      flags = excluded.flags, revision = j.revision + 1, attempts = 0, last_error = null, updated_at = now()
    where j.locked_at is null
    returning j.key
  )
  select t.key from t where not exists (select from written w where w.key = t.key)`

/** Removes tasks that are not running, and wakes no worker. Returns the keys of those that are, for CANCEL_RUNNING. */
export const CANCEL = `
  with removed as (
    delete from ${schema}._private_jobs where key = any($1::text[]) and locked_at is null returning key
  )
  select j.key from ${schema}._private_jobs j
  where j.key = any($1::text[]) and not exists (select from removed r where r.key = j.key)`

/** Lets running tasks end, and not run again. */
export const CANCEL_RUNNING = `select from unnest($1::text[]) as t(key), ${schema}.remove_job(t.key)`

/** Makes tasks whose last try failed with one of these codes due within so many milliseconds, and gives them more tries,
 *  up to a number in all. The library lets the pauses grow to six hours. Tasks that another process writes just now are left
 *  for the next time. */
export const HASTEN = `
  update ${schema}._private_jobs set
    run_at = least(run_at, now() + $2::int * interval '1 millisecond'),
    max_attempts = greatest(max_attempts, least(attempts + ${taskTriesMax}, $3::int))
  where id in (
    select id from ${schema}._private_jobs
    where locked_at is null and key is not null and split_part(last_error, ': ', 1) = any($1::text[])
      and (run_at > now() + $2::int * interval '1 millisecond' or attempts >= max_attempts) and attempts < $3::int
    for update skip locked
  )`

/** How long the library waits after the failed try of a task, counted from the last one that met an outage: HASTEN has given
 *  it `taskTriesMax` more since. An operator's retry begins to count from 0. */
const pause = `exp(greatest(least(attempts - (max_attempts - ${taskTriesMax}), 10), 1)) * interval '1 second'`

/** Shortens the pauses of tasks that have met an outage before and then failed with another error: the tries of the outage
 *  do not count for them, or the first conflict after it would take hours. */
export const RECOUNT = `
  update ${schema}._private_jobs set run_at = now() + ${pause}
  where id in (
    select id from ${schema}._private_jobs
    where locked_at is null and key is not null and max_attempts > ${taskTriesMax} and attempts < max_attempts
      and split_part(last_error, ': ', 1) <> all($1::text[]) and run_at > now() + ${pause}
    for update skip locked
  )`
