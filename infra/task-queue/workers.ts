import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type Logger, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import { openPool } from '../postgres.ts'
import type { Log } from '../telemetry.ts'

/** Besides the workers: one connection listens, one is for housekeeping. */
const connectionsAside = 2
const lookMs = 100
/** How often in a row nothing must be seen to happen before workers that stop are given up. */
const quietLooksMin = 10

export type TaskWorkers = {
  /** Under which the queue knows whose the jobs are that they took. */
  readonly id: string | undefined
  /** Has them take no more jobs. */
  readonly stop: () => void
  /** Resolves when they have stopped, by themselves or when told, the running handlers have ended and the connections too.
   *  By themselves they stop when they could not store how a job ended: it is locked by that id still. */
  readonly ended: Promise<void>
}

/** Starts workers on the queue in `schema`, on connections of their own. Throws what the driver throws when the database
 *  cannot be reached. */
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
  // Of our own, and not the one that the library makes: that one stops listening for errors before its connections end.
  const pgPool = openPool({ url, log, poolSize: concurrency + connectionsAside })
  const events: WorkerEvents = new EventEmitter()
  const stopping = Promise.withResolvers<void>()
  let id: string | undefined
  let running = 0
  events.on('pool:create', ({ workerPool }) => {
    id = workerPool.id
  })
  events.on('pool:listen:success', ({ workerPool, client }) => {
    // It is told before its own first statement, and a connection takes one at a time.
    client.once('drain', () => {
      client.query(holdSql, [workerPool.id]).catch((err: unknown) => log.warn({ err }, 'cannot say that we are alive'))
    })
  })
  events.on('job:start', () => {
    running += 1
  })
  events.on('job:complete', () => {
    running -= 1
  })
  events.on('pool:gracefulShutdown', () => stopping.resolve())

  /** After two failures in a row to store how jobs ended, the library (0.18.0) counts one answer too few as on its way, and
   *  waits for ever for it: `batch` in src/main.ts of https://github.com/graphile/worker. */
  const untilQuiet = async (signal: AbortSignal): Promise<void> => {
    await stopping.promise
    for (let quietLooks = 0; quietLooks < quietLooksMin; ) {
      await delay(lookMs, undefined, { signal })
      const busy = running > 0 || pgPool.totalCount > pgPool.idleCount
      quietLooks = busy ? 0 : quietLooks + 1
    }
    log.warn({ workers: id }, 'the job workers do not come to their end and are given up')
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
    // It refuses when it was told to before.
    runner.stop().catch((err: unknown) => log.debug({ err }, 'the workers were told to stop before'))
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

/** The lock lives as long as the connection that listens for jobs, and so as long as the process. The queue itself would
 *  give the jobs of a killed process to others only after four hours. */
const holdSql = 'select pg_advisory_lock_shared(hashtextextended($1, 0))'
