import { setTimeout as delay } from 'node:timers/promises'
import { Logger, runMigrations, type TaskList } from 'graphile-worker'
import { TAKE_TEXT_LOCK, textLocks } from './locks.ts'
import { type Database, openPool } from './postgres.ts'
import { startTaskWorkers, type TaskWorkers } from './task-queue/workers.ts'
import type { Log } from './telemetry.ts'

const schema = 'jobs'
const restartDelayMsMin = 200
const restartDelayMsMax = 5_000
/** How long the holder of a running job may be unknown before the job is given to another. */
const graceMs = 5_000

/** What is called when a job is due; `payload` is the JSON that was scheduled. It may be called again for the same job (after
 *  a throw, a crash, a lost connection), so it must bear that. */
export type TaskHandler = (payload: unknown) => Promise<void>

export type TaskQueue = {
  /** Has the handler of that name called at `runAt` (now, when left out), here or in another process. The same key again
   *  replaces what was scheduled; while that one is running, the new one is called after it. Throws DATABASE_UNAVAILABLE;
   *  repeating the call does no harm. */
  schedule(
    name: string,
    payload: unknown,
    options: { readonly key: string; readonly runAt?: Date | undefined },
  ): Promise<void>
  /** What runs already ends, but is not tried again. An unknown key is no error. */
  cancel(key: string): Promise<void>
  /** Takes no more jobs and resolves when the running handlers have ended. */
  close(): Promise<void>
}

/** Opens the durable job queue in the schema `jobs`, and works on it when there are handlers. A handler that throws is called
 *  again after 3, 7, 20, … seconds, 25 times at most, after which the job stays in the table, parked. A job whose process
 *  was killed is called again by another after a few seconds. Throws DATABASE_UNAVAILABLE. */
export const startTaskQueue = async (options: {
  readonly url: string
  readonly database: Database
  readonly log: Log
  readonly handlers: Readonly<Record<string, TaskHandler>>
  /** How many handlers run at once in this process. */
  readonly concurrency: number
  /** How late a job may be found that was scheduled for later. */
  readonly pollMs?: number
}): Promise<TaskQueue> => {
  const { url, database, handlers, concurrency, pollMs = 1_000 } = options
  const log = options.log.child({ part: 'jobs' })
  const logger = new Logger(() => (level, message, meta) => forward(log, level, message, meta))
  const closing = new AbortController()
  const taskList: TaskList = Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      async (payload, { job }) => {
        try {
          await handler(payload)
        } catch (err) {
          const last = job.attempts >= job.max_attempts
          const message = last ? 'a job has failed for good and is parked' : 'a job has failed and is tried again later'
          log.warn({ err, job: name, key: job.key, attempt: job.attempts }, message)
          throw err
        }
      },
    ]),
  )

  const startWorkers = () => startTaskWorkers({ url, schema, log, logger, taskList, concurrency, pollMs })

  // Several processes start at once, and the migrations do not expect that.
  const migrate = () =>
    database.transaction('jobs.migrate', async (query) => {
      await query('jobs.lock', TAKE_TEXT_LOCK, [textLocks.migrateTaskQueue])
      const pgPool = openPool({ url, log, poolSize: 1 })
      await runMigrations({ pgPool, schema, logger }).finally(() => pgPool.end())
    })

  await migrate()
  let workers: TaskWorkers | undefined = Object.keys(handlers).length > 0 ? await startWorkers() : undefined

  /** The workers end when they could not store how a job ended. That job is called again. */
  const keepWorking = async (): Promise<void> => {
    let pauseMs = restartDelayMsMin
    let former: string | undefined
    while (!closing.signal.aborted) {
      try {
        if (former !== undefined) await database.query('jobs.unlock', unlockSql, [[former]])
        former = undefined
        workers ??= await startWorkers()
        pauseMs = restartDelayMsMin
        // Closing may have begun while they were started, and has seen none to stop.
        if (closing.signal.aborted) workers.stop()
        await workers.ended
      } catch (err) {
        if (!closing.signal.aborted) log.warn({ err, pauseMs }, 'the job workers stopped, starting them again')
      }
      former = workers?.id ?? former
      workers = undefined
      await delay(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined)
      pauseMs = Math.min(pauseMs * 2, restartDelayMsMax)
    }
  }

  const keepFreeing = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const [freed] = await database
        .query<{ holders: string[] | null }>('jobs.free', freeSql, [graceMs])
        .catch(() => [{ holders: null }])
      if (freed?.holders) log.warn({ holders: freed.holders }, 'jobs of a process that is gone are taken over')
      await delay(graceMs, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }

  const background = workers === undefined ? Promise.resolve([]) : Promise.all([keepWorking(), keepFreeing()])
  let ended: Promise<void> | undefined

  const close = async (): Promise<void> => {
    closing.abort()
    workers?.stop()
    await background
  }

  return {
    schedule: async (name, payload, { key, runAt }) => {
      const values = [name, JSON.stringify(payload ?? null), runAt?.toISOString() ?? null, key]
      await database.query('jobs.schedule', scheduleSql, values, { retry: true })
    },
    cancel: async (key) => {
      await database.query('jobs.cancel', cancelSql, [key], { retry: true })
    },
    close: () => {
      ended ??= close()
      return ended
    },
  }
}

const scheduleSql = `
  select from ${schema}.add_job($1, payload => $2::json, run_at => $3::timestamptz, job_key => $4, job_key_mode => 'replace')`

const cancelSql = `select from ${schema}.remove_job($1)`

const unlockSql = `select ${schema}.force_unlock_workers($1::text[])`

/** Who can be locked is alive no more. After a restart of the database all have lost their locks, and a new one has yet to
 *  take its own: both get a moment. */
const freeSql = `
  with gone as (
    select distinct locked_by from ${schema}._private_jobs
    where locked_by is not null
      and locked_at < now() - $1 * interval '1 millisecond'
      and pg_postmaster_start_time() < now() - $1 * interval '1 millisecond'
  ), dead as (
    select locked_by from gone where pg_try_advisory_xact_lock(hashtextextended(locked_by, 0))
  ), holders as (
    select array_agg(locked_by) as holders from dead
  )
  select holders, ${schema}.force_unlock_workers(holders) from holders`

/** The queue reports each job as "info" and each failure with its stack; the handlers above say it in fewer words. */
const forward = (log: Log, level: string, message: string, meta: { failure?: unknown; error?: unknown }): void => {
  if (meta.failure === true) return
  const fields = meta.error === undefined ? {} : { err: meta.error }
  if (level === 'error') log.warn(fields, message)
  else if (level === 'warning') log.warn(fields, message)
  else log.debug(fields, message)
}
