import { Logger, runMigrations, type TaskList } from 'graphile-worker'
import { type ErrorCode, Failure } from '../domain/errors.ts'
import { createBackoff } from './async/backoff.ts'
import { gather } from './async/gather.ts'
import { sleep } from './async/sleep.ts'
import { TAKE_TEXT_LOCK, textLocks } from './locks.ts'
import { type Database, isConnectionError, openPool } from './postgres.ts'
import { errorClassOf } from './system/database-errors.ts'
import {
  CANCEL,
  CANCEL_RUNNING,
  columnsOf,
  HASTEN,
  RECOUNT,
  SCHEDULE,
  SCHEDULE_LATER,
  type TaskRow,
  taskSchema,
} from './task-queue/statements.ts'
import { startTaskWorkers, type TaskWorkers } from './task-queue/workers.ts'
import type { Log } from './telemetry.ts'

export { readRentalTimers, removeTimer } from './task-queue/rentals.ts'
export { taskSchema, taskTriesMax } from './task-queue/statements.ts'

const schema = taskSchema
const restartDelayMsMin = 200
const restartDelayMsMax = 5_000
/** How long the holder of a running task may be unknown before the task is given to another process. */
const graceMs = 5_000
/** Outages that end without anything being done to the task. One that met them is tried again soon, however long they
 *  have lasted. */
const outages: readonly ErrorCode[] = [
  'DATABASE_UNAVAILABLE',
  'DATABASE_FULL',
  'LOG_REPLACED',
  'CHAIN_UNAVAILABLE',
  'CLUSTER_UNAVAILABLE',
]
/** How long after an outage its tasks are tried again, about: these are looked for every `graceMs`. */
const outagePauseMs = 5_000
/** In an outage a task has so many tries: a day and a half or more. Then it is parked, in case the outage is its own doing. */
const outageTriesMax = 30_000

/** Runs a task that is due; `payload` is the JSON that was scheduled. It may be called again for the same task (after a
 *  throw, a crash or a lost connection), so it must be idempotent. */
export type TaskHandler = (payload: unknown) => Promise<void>

export type TaskQueue = {
  /** Schedules a task for the handler of that name, in this process or in another, at `runAt` (left out: now). A second
   *  task with the same key replaces the first one; when the first one is running, the second one runs after it.
   *  Idempotent. Throws DATABASE_UNAVAILABLE. */
  schedule(
    name: string,
    payload: unknown,
    options: { readonly key: string; readonly runAt?: Date | undefined },
  ): Promise<void>
  /** Removes the task. When it is running, its handler ends, and is not called again. An unknown key is no error. */
  cancel(key: string): Promise<void>
  /** Takes no more tasks, and resolves when the running handlers have ended. */
  close(): Promise<void>
}

/** Opens the durable task queue in the schema `jobs`, and starts workers when there are handlers. A handler that throws
 *  is called again after 3, 7, 20, … seconds, 25 times at most; after that the task stays in the table, parked. One that
 *  throws the code of an outage is called again every 5 to 10 seconds, 30,000 times at most. When a process is killed,
 *  another one runs its tasks again after a few seconds. Throws DATABASE_UNAVAILABLE. */
export const startTaskQueue = async (options: {
  readonly url: string
  readonly database: Database
  readonly log: Log
  readonly handlers: Readonly<Record<string, TaskHandler>>
  /** How many handlers run at once in this process. */
  readonly concurrency: number
  /** How late a task may start that was scheduled for later. */
  readonly pollMs?: number
}): Promise<TaskQueue> => {
  const { url, database, handlers, concurrency, pollMs = 1_000 } = options
  const log = options.log.child({ part: 'task queue' })
  const logger = new Logger(() => (level, message, meta) => forward(log, level, message, meta))
  const closing = new AbortController()
  const taskList: TaskList = Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      async (payload, { job }) => {
        try {
          await handler(payload)
        } catch (err) {
          const failure = withCode(err)
          const last = job.attempts >= (isOutage(failure) ? outageTriesMax : job.max_attempts)
          const message = last
            ? 'a task has failed for good and is parked'
            : 'a task has failed and is tried again later'
          log.warn({ err, task: name, key: job.key, attempt: job.attempts }, message)
          throw failure
        }
      },
    ]),
  )

  const startWorkers = () => startTaskWorkers({ url, schema, log, logger, taskList, concurrency, pollMs })

  // Without the lock, processes that start at the same time disturb each other: the library's migrations do not expect
  // that.
  const migrate = () =>
    database.transaction('jobs.migrate', async (query) => {
      await query('jobs.lock', TAKE_TEXT_LOCK, [textLocks.migrateTaskQueue])
      const pgPool = openPool({ url, log, poolSize: 1 })
      await runMigrations({ pgPool, schema, logger }).finally(() => pgPool.end())
    })

  await migrate()
  let workers: TaskWorkers | undefined =
    Object.keys(handlers).length > 0 ? await startWorkers().catch(throwAsFailure) : undefined

  /** Starts the workers again whenever they end, which they do when they could not store how a task ended. That task
   *  runs again. */
  const keepWorking = async (): Promise<void> => {
    const backoff = createBackoff({ minMs: restartDelayMsMin, maxMs: restartDelayMsMax })
    let former: string | undefined
    while (!closing.signal.aborted) {
      try {
        if (former !== undefined) await database.query('jobs.unlock', unlockSql, [[former]])
        former = undefined
        workers ??= await startWorkers()
        backoff.reset()
        // Closing may have begun while they started, when there were none to stop.
        if (closing.signal.aborted) workers.stop()
        await workers.ended
      } catch (err) {
        if (!closing.signal.aborted)
          log.warn({ err, pauseMs: backoff.nextMs }, 'the task workers stopped, starting them again')
      }
      former = workers?.id ?? former
      workers = undefined
      await backoff.pause(closing.signal)
    }
  }

  /** Gives the tasks of processes that are gone to others, shortens the pauses of those that met an outage, and removes
   *  what no process will run again. */
  const keepFreeing = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const [freed] = await database
        .query<{ holders: string[] | null }>('jobs.free', freeSql, [graceMs])
        .catch(() => [{ holders: null }])
      if (freed?.holders) log.warn({ holders: freed.holders }, 'tasks of a process that is gone are given to others')
      await database
        .query('jobs.hasten', HASTEN, [outages, outagePauseMs, outageTriesMax])
        .catch((err: unknown) => log.debug({ err }, 'tasks of an outage wait'))
      await database
        .query('jobs.recount', RECOUNT, [outages])
        .catch((err: unknown) => log.debug({ err }, 'tasks that met an outage before wait'))
      await database.query('jobs.clean', cleanSql).catch((err: unknown) => log.debug({ err }, 'old tasks stay'))
      await sleep(graceMs, closing.signal)
    }
  }

  const background = workers === undefined ? Promise.resolve([]) : Promise.all([keepWorking(), keepFreeing()])
  let ended: Promise<void> | undefined

  const keyed = async (label: string, text: string, values: readonly unknown[]): Promise<ReadonlySet<string>> => {
    const rows = await database.query<{ key: string }>(label, text, values, { retry: true, name: label })
    return new Set(rows.map(({ key }) => key))
  }
  const schedule = gather(async (tasks: readonly TaskRow[]) => {
    const isLater = tasks.some(([, , runAt]) => runAt !== null)
    const left = isLater && (await keyed('jobs.scheduleLater', SCHEDULE_LATER, columnsOf(tasks)))
    const now = left ? tasks.filter(([, , , key]) => left.has(key)) : tasks
    if (now.length > 0) await database.query('jobs.schedule', SCHEDULE, columnsOf(now), { retry: true })
  })
  const cancel = gather(async (keys: readonly string[]) => {
    const running = await keyed('jobs.cancel', CANCEL, [keys])
    if (running.size > 0) await database.query('jobs.cancelRunning', CANCEL_RUNNING, [[...running]], { retry: true })
  })

  const close = async (): Promise<void> => {
    closing.abort()
    workers?.stop()
    await background
  }

  return {
    schedule: (name, payload, { key, runAt }) =>
      schedule([name, JSON.stringify(payload ?? null), runAt?.toISOString() ?? null, key]),
    cancel,
    close: () => {
      ended ??= close()
      return ended
    },
  }
}

/** Returns an error whose message begins with the code: the library keeps the message alone. */
const withCode = (error: unknown): unknown => {
  if (error instanceof Failure) return new Error(`${error.code}: ${error.message}`, { cause: error })
  if (!(error instanceof Error) || errorClassOf(error) !== 'outage') return error
  return new Error(`DATABASE_UNAVAILABLE: ${error.message}`, { cause: error })
}

const isOutage = (failure: unknown): boolean =>
  failure instanceof Error && outages.some((code) => failure.message.startsWith(`${code}: `))

/** Throws the error of a library as the queue's own: DATABASE_UNAVAILABLE when the connection failed. */
const throwAsFailure = (error: unknown): never => {
  if (!isConnectionError(error)) throw error
  throw new Failure('DATABASE_UNAVAILABLE', { reason: (error as Error).message, sent: 'perhaps' }, error)
}

const unlockSql = `select ${schema}.force_unlock_workers($1::text[])`

/** Frees the tasks of holders that are gone: live workers hold a lock on their id, so an id that can be locked belongs
 *  to none. The grace time is for workers that have not taken the lock yet, new ones and all after a restart of the
 *  database. */
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

/** A task that was replaced or cancelled while it ran has lost its key and its attempts. When its handler fails then, or
 *  its process is killed, the row stays: nothing runs it again, and no key leads to it. */
const cleanSql = `
  delete from ${schema}._private_jobs where key is null and attempts >= max_attempts and locked_at is null`

/** Writes a line of the library to the log. It reports each task as "info", and each failure with its stack: the
 *  failures are left out, because the handlers above log them in fewer words. */
const forward = (log: Log, level: string, message: string, meta: { failure?: unknown; error?: unknown }): void => {
  if (meta.failure === true) return
  const fields = meta.error === undefined ? {} : { err: meta.error }
  if (level === 'error') log.warn(fields, message)
  else if (level === 'warning') log.warn(fields, message)
  else log.debug(fields, message)
}
