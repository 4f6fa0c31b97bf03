import pg, { type ClientConfig, type Pool, type PoolClient } from 'pg'
import { Histogram } from 'prom-client'
import { Failure, isFailure } from '../domain/errors.ts'
import { createBackoff } from './async/backoff.ts'
import { sleep } from './async/sleep.ts'
import { copyOut } from './postgres/copy.ts'
import type { Database, Query, QueryOptions } from './postgres/database.ts'
import { isConnectionError, toFailure } from './postgres/errors.ts'
import { keepListening } from './postgres/listen.ts'
import { checkServer } from './postgres/server-check.ts'
import { prepareSession } from './postgres/session.ts'
import { typeParsers } from './postgres/type-parsers.ts'
import type { Log, Metrics } from './telemetry.ts'

export { type Fields, literalOf } from './postgres/copy.ts'
export type { Database, Query, QueryOptions, Retry } from './postgres/database.ts'
export { isConnectionError } from './postgres/errors.ts'
export { migrateSchema } from './postgres/migrate.ts'
export { migrateOperations } from './postgres/ops-schema.ts'
export { prepareSession } from './postgres/session.ts'

const connectMsMax = 5_000
const retryMsMax = 5_000
const retryPauseMsMin = 50
const retryPauseMsMax = 1_000
const idleMsMax = 30_000
const keepAliveMs = 10_000
/** How long a database counts as full after a statement has met its full disk. */
const fullMs = 30_000

/** Makes the one door to PostgreSQL. It connects on first use; `waitUntilReady` resolves when the server answers.
 *  Durations go to the metrics by label, and to the log from `slowQueryMs` on. `poolSize` bounds the connections; a
 *  listener has its own. */
export const connectPostgres = (options: {
  readonly url: string
  readonly log: Log
  readonly metrics?: Metrics
  readonly poolSize: number
  readonly slowQueryMs?: number
}): Database => {
  const { url, log: parentLog, metrics, poolSize, slowQueryMs = 1_000 } = options
  const log = parentLog.child({ part: 'database' })
  const connection = { ...connectionOf(url), types: typeParsers(pg.types.getTypeParser) }
  const pool = guard(new pg.Pool({ ...connection, ...poolOptions, max: poolSize }), log)
  const closing = new AbortController()
  const listeners = new Set<{ close(): Promise<void> }>()
  const observe = createObserver(metrics, log, slowQueryMs)
  let ended: Promise<void> | undefined
  let metFullMs = Number.NEGATIVE_INFINITY

  const withClient = async <T>(work: (client: PoolClient, discard: () => void) => Promise<T>): Promise<T> => {
    const client = await pool.connect().catch((error: unknown) => {
      throw toFailure(error, 'no')
    })
    let broken = false
    const discard = () => {
      broken = true
    }
    try {
      return await work(client, discard)
    } catch (error) {
      if (isConnectionError(error)) discard()
      const failure = toFailure(error, 'perhaps')
      if (isFailure(failure, 'DATABASE_FULL')) metFullMs = performance.now()
      throw failure
    } finally {
      client.release(broken)
    }
  }

  const query: Query = <Row>(label: string, text: string, values?: readonly unknown[], queryOptions?: QueryOptions) =>
    observe(label, () => {
      const once = () => withClient((client) => runOn<Row>(client, text, values, queryOptions))
      return queryOptions?.retry ? retryWhileAway(once, closing.signal) : once()
    })

  const transaction: Database['transaction'] = (label, work) =>
    observe(label, () =>
      withClient(async (client, discard) => {
        await client.query('begin')
        try {
          const answer = await work(queryOn(client))
          const { command } = await client.query('commit')
          // After a statement failed, even when `work` caught its error, COMMIT rolls back without an error.
          if (command !== 'COMMIT')
            throw new Error(`the transaction ${label} was rolled back: a statement in it had failed`)
          return answer
        } catch (error) {
          await client.query('rollback').catch(discard)
          throw error
        }
      }),
    )

  const waitUntilReady = async (timeoutMs: number): Promise<void> => {
    const until = performance.now() + timeoutMs
    for (;;) {
      try {
        await query('database.ready', 'select 1')
        return
      } catch (error) {
        const { message } = error as Error
        if (!isFailure(error, 'DATABASE_UNAVAILABLE'))
          throw new Failure('DATABASE_UNAVAILABLE', { reason: message }, error)
        if (performance.now() > until || closing.signal.aborted) throw error
        await sleep(retryPauseMsMin)
      }
    }
  }

  const listen: Database['listen'] = async (channel, onNotify) => {
    const stop = new AbortController()
    const notify = (payload: string) => {
      try {
        onNotify(payload)
      } catch (err) {
        log.error({ err, channel }, 'a notification was not handled')
      }
    }
    const listening = Promise.withResolvers<void>()
    const done = keepListening({
      createClient: () => new pg.Client(connection),
      channel,
      onNotify: notify,
      onListening: () => {
        listening.resolve()
        notify('')
      },
      log,
      signal: stop.signal,
    })
    const listener = {
      close: () => {
        listeners.delete(listener)
        stop.abort()
        return done
      },
    }
    listeners.add(listener)
    await Promise.race([listening.promise, done])
    return listener
  }

  const close = async (): Promise<void> => {
    closing.abort()
    await Promise.all([...listeners].map((listener) => listener.close()))
    await pool.end()
  }

  return {
    query,
    transaction,
    listen,
    waitUntilReady,
    isFull: () => performance.now() - metFullMs < fullMs,
    close: () => {
      ended ??= close()
      return ended
    },
  }
}

/** Makes a bare pool of the driver, for a library that brings its own statements. The caller must end it. The second
 *  release of a connection is ignored: graphile-worker releases twice when its listening connection breaks while it
 *  stops. The driver would throw where no caller can catch it, and the process would end. */
export const openPool = (options: { readonly url: string; readonly log: Log; readonly poolSize: number }): Pool => {
  const { url, log, poolSize } = options
  const pool = guard(new pg.Pool({ ...connectionOf(url), ...poolOptions, max: poolSize }), log)
  const connect: Connect = pool.connect.bind(pool)
  const connectOnce = (callback?: Connected) =>
    callback === undefined ? connect() : connect((error, client, release) => callback(error, client, once(release)))
  return Object.assign(pool, { connect: connectOnce })
}

type Release = (destroy?: Error | boolean) => void
type Connected = (error: Error | undefined, client: PoolClient | undefined, release: Release) => void
type Connect = { (): Promise<PoolClient>; (callback: Connected): void }

/** Returns a release that counts once. The driver hands over none when it has no connection. */
const once = (release: Release | undefined): Release => {
  let released = false
  return (destroy) => {
    if (released) return
    released = true
    release?.(destroy)
  }
}

const connectionOf = (url: string): ClientConfig => ({
  connectionString: url,
  connectionTimeoutMillis: connectMsMax,
  application_name: 'neuralmesh',
  keepAlive: true,
  keepAliveInitialDelayMillis: keepAliveMs,
})

const poolOptions = { idleTimeoutMillis: idleMsMax, onConnect: prepareSession }

/** Waits until the database at `url` answers and checks that the platform can work with it. Throws CONFIG_INVALID with
 *  the reason and the fix, DATABASE_UNREACHABLE. */
export const checkDatabase = (options: {
  readonly url: string
  readonly log: Log
  readonly waitMs: number
  readonly signal?: AbortSignal
}): Promise<void> => {
  const { url, log, waitMs, signal } = options
  return checkServer({
    connection: connectionOf(url),
    log: log.child({ part: 'database' }),
    waitMs,
    ...(signal && { signal }),
  })
}

/** Logs connections that break; idle ones report it through the pool. An error event without a listener ends the
 *  process. */
const guard = (pool: Pool, log: Log): Pool => {
  // While the pool ends, its connections may be cut by a server that ends as well.
  pool.on('error', (err) => log[pool.ending ? 'debug' : 'warn']({ reason: err.message }, 'an idle connection broke'))
  pool.on('connect', (client) => {
    client.on('error', (err) => log.debug({ reason: err.message }, 'a connection broke'))
  })
  return pool
}

/** Makes the query function of a transaction. Its statements are not timed one by one: the transaction is. */
const queryOn =
  (client: PoolClient): Query =>
  <Row>(_: string, text: string, values?: readonly unknown[], queryOptions?: QueryOptions) =>
    runOn<Row>(client, text, values, queryOptions).catch((error: unknown) => {
      throw toFailure(error, 'perhaps')
    })

const runOn = async <Row>(
  client: PoolClient,
  text: string,
  values: readonly unknown[] = [],
  { rowMode, name, decode }: QueryOptions = {},
): Promise<Row[]> => {
  if (decode) return (await copyOut(client, text, decode)) as Row[]
  const { rows } = await client.query({
    text,
    values: [...values],
    ...(rowMode === undefined ? {} : { rowMode }),
    ...(name === undefined ? {} : { name }),
  })
  return rows as Row[]
}

/** Repeats work that fails with DATABASE_UNAVAILABLE, until a short outage is over. */
const retryWhileAway = async <T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
  const until = performance.now() + retryMsMax
  const backoff = createBackoff({ minMs: retryPauseMsMin, maxMs: retryPauseMsMax })
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isFailure(error, 'DATABASE_UNAVAILABLE') || signal.aborted || performance.now() + backoff.nextMs > until)
        throw error
      await backoff.pause(signal)
    }
  }
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const histogramName = 'database_query_seconds'

/** Makes the function that times work by label. Databases that share a registry share the histogram. */
const createObserver = (metrics: Metrics | undefined, log: Log, slowQueryMs: number) => {
  const known = metrics?.getSingleMetric(histogramName) as Histogram | undefined
  const histogram =
    known ??
    new Histogram({
      name: histogramName,
      help: 'How long a statement or a transaction took, waiting for a connection included.',
      labelNames: ['label', 'outcome'],
      buckets: secondsBuckets,
      registers: metrics === undefined ? [] : [metrics],
    })
  return async <T>(label: string, work: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    let outcome = 'failed'
    try {
      const answer = await work()
      outcome = 'done'
      return answer
    } finally {
      const tookMs = performance.now() - begun
      histogram.observe({ label, outcome }, tookMs / 1000)
      if (tookMs >= slowQueryMs) log.warn({ label, outcome, ms: Math.round(tookMs) }, 'slow query')
    }
  }
}
