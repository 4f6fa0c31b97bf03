import { EventEmitter } from 'node:events'
import { type Logger, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import { sleep } from '../async/sleep.ts'
import { textLocks } from '../locks.ts'
import { openPool } from '../postgres.ts'
import type { Log } from '../telemetry.ts'

/** Besides the workers: one connection listens, one is for housekeeping. */
const connectionsAside = 2
const lookMs = 100
/** After how many quiet looks in a row workers that are stopping are given up. */
const quietLooksMin = 10

export type TaskWorkers = {
  /** Names the workers as the holder of the tasks that they have taken. */
  readonly id: string | undefined
  /** Lets them take no more tasks. */
  readonly stop: () => void
  /** Resolves when they have stopped, the running handlers have ended, and the connections are closed. They stop by
   *  themselves when they could not store how a task ended; `id` still holds that task. */
  readonly ended: Promise<void>
}

/** Starts workers on the queue in `schema`, on their own connections. Throws what the driver throws when the
 *  database cannot be reached. */
export const startTaskWorkers = async (options: {
  readonly url: string
  readonly schema: string
  readonly log: Log
  readonly logger: Logger
  readonly taskList: TaskList
  readonly concurrency: number
  readonly pollMs: number
}): Promise<TaskWorkers> => {
  const { url, schema, log, logger, taskList, concurrency, pollMs } = options
  // The library's own pool removes its error listeners before its connections end.
  const pgPool = openPool({ url, log, poolSize: concurrency + connectionsAside })
  const events: WorkerEvents = new EventEmitter()
  const stopping = Promise.withResolvers<void>()
  let id: string | undefined
  let running = 0
  events.on('pool:create', ({ workerPool }) => {
    id = workerPool.id
  })
  events.on('pool:listen:success', ({ workerPool, client }) => {
    // The event comes before the library's first statement on this connection, which takes one statement at a time.
    client.once('drain', () => {
      client
        .query(holdSql, [textLocks.taskWorkers(workerPool.id)])
        .catch((err: unknown) => log.warn({ err }, 'the workers cannot take the lock on their id'))
    })
  })
  events.on('job:start', () => {
    running += 1
  })
  events.on('job:complete', () => {
    running -= 1
  })
  events.on('pool:gracefulShutdown', () => stopping.resolve())

  /** Resolves when workers that are stopping do nothing any more. After two failures in a row to store how tasks ended,
   *  the library (0.18.0) miscounts its pending answers by one, and waits forever: `batch` in src/main.ts of
   *  https://github.com/graphile/worker. */
  const untilQuiet = async (signal: AbortSignal): Promise<void> => {
    await stopping.promise
    for (let quietLooks = 0; quietLooks < quietLooksMin; ) {
      await sleep(lookMs, signal)
      if (signal.aborted) return
      const busy = running > 0 || pgPool.totalCount > pgPool.idleCount
      quietLooks = busy ? 0 : quietLooks + 1
    }
    log.warn({ workers: id }, 'the task workers do not end and are given up')
    stop()
  }

  const runner = await run({
    pgPool,
    schema,
    logger,
    events,
    taskList,
    concurrency,
    pollInterval: pollMs,
    parsedCronItems: [],
    noHandleSignals: true,
    // With the delay left out, an answer that cannot be stored becomes an unhandled rejection and ends the process.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  }).catch(async (error: unknown) => {
    await pgPool.end()
    throw error
  })

  const stop = () => {
    // A second call is refused.
    runner.stop().catch((err: unknown) => log.debug({ err }, 'the task workers are stopping already'))
  }

  const end = async (): Promise<void> => {
    const ended = new AbortController()
    try {
      await Promise.race([runner.promise, untilQuiet(ended.signal)])
    } finally {
      ended.abort()
      await pgPool.end()
    }
  }

  return { id, stop, ended: end() }
}

/** Takes a lock that ends with the connection for task notifications, and so with the process. Without it
 *  the library gives the tasks of a killed process to others only after four hours. */
const holdSql = 'select pg_advisory_lock_shared(hashtextextended($1, 0))'
