import { open, rename, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Failure } from '../domain/errors.ts'
import { createBackoff } from './async/backoff.ts'
import { sleep } from './async/sleep.ts'
import {
  databaseName,
  dropPidFile,
  endLeftovers,
  endOrphans,
  lastLines,
  lockServers,
  prepareCluster,
  readText,
  refuseOtherVersion,
} from './embedded-postgres/data.ts'
import { readOrCreatePassword, readPassword } from './embedded-postgres/password.ts'
import { chooseRunner, cleanEnvironment, type RunnerKind } from './embedded-postgres/run-as.ts'
import { stopServer } from './embedded-postgres/stop.ts'
import { startWatched, type WatchedProcess } from './system/watched-process.ts'
import type { Log } from './telemetry.ts'

export { explainRefusal } from './embedded-postgres/password.ts'

const startTriesMax = 5
const restartDelayMsMin = 100
const restartDelayMsMax = 5_000
/** Far more than the recovery of `max_wal_size` takes. */
const startMsMax = 600_000
/** How long a close takes at most, and what must be left for it when other parts have used up the time of a stop. */
export const postgresStopMs = { closeMs: 30_000, reservedMs: 10_000 }
/** How much of its time a close leaves for processes that outlive the first one. */
const orphansShare = 0.2
const logBytesMax = 10 * 1024 * 1024
const stillStartingMs = 5_000

/** For a laptop with two cores. A commit that a caller has seen must be on disk, so synchronous_commit stays on. */
const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  // A connection without a password uses one of them until then.
  authentication_timeout: '10s',
  shared_buffers: '128MB',
  jit: 'off',
  synchronous_commit: 'on',
  max_wal_size: '512MB',
  max_wal_senders: '0',
  wal_level: 'minimal',
  log_timezone: 'UTC',
  timezone: 'UTC',
  log_checkpoints: 'off',
}
/** For data that may be lost, in tests. */
const unsafeSettings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

export type EmbeddedPostgres = {
  readonly url: string
  /** Returns the pid of the first server process; undefined while the server is down. */
  pid(): number | undefined
  /** Shuts the server down (PostgreSQL's fast shutdown), or ends it harder when that takes too long. Resolves when no
   *  process is left, after `msMax` at the latest. Throws DATABASE_UNAVAILABLE when a process cannot be ended. */
  close(msMax?: number): Promise<void>
}

/** Starts PostgreSQL 18 with its data in `<folder>/postgres`, on a port of 127.0.0.1 that stays the same across starts
 *  when it is free. The server ends when this process ends, even by kill -9, and is started again when it dies earlier.
 *  The folder must belong to this process alone (openDataFolder). `durable: false` gives up safety for speed; `runAs`
 *  allows one way to run only; `preload` names a library that the server loads, to count statements; `startMs` limits
 *  each start. Throws KEY_FILE_INVALID, DATA_FOLDER_VERSION, DATA_FOLDER_UNREACHABLE, DATABASE_UNAVAILABLE. */
export const startEmbeddedPostgres = async (options: {
  readonly folder: string
  readonly log: Log
  readonly durable?: boolean
  readonly runAs?: RunnerKind
  readonly preload?: string
  readonly startMs?: number
}): Promise<EmbeddedPostgres> => {
  const { folder, log: parentLog, durable = true, runAs, preload = '', startMs = startMsMax } = options
  const log = parentLog.child({ part: 'postgres' })
  const runner = await chooseRunner(folder, runAs)
  await refuseOtherVersion(join(folder, 'postgres'))
  const password = await readOrCreatePassword(folder)
  const lock = await lockServers(folder, log)
  const output = await openLog(join(folder, 'postgres.log'))
  const closing = new AbortController()
  let server: WatchedProcess | undefined
  const stop = (msMax: number) => stopServer(server, { data: join(folder, 'postgres'), msMax, log })

  const launch = async (data: string, port: number): Promise<void> => {
    await dropPidFile(data)
    const chosen = { ...settings, ...(durable ? {} : unsafeSettings), shared_preload_libraries: preload }
    const values = Object.entries({ ...chosen, port: String(port) })
    const started = await startWatched({
      command: [
        ...runner.prefix,
        join(runner.bin, 'postgres'),
        '-D',
        data,
        ...values.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      cwd: folder,
      env: cleanEnvironment(),
      output: output.fd,
      uid: runner.uid,
      lock: lock.fd,
    })
    server = started
    try {
      await untilReady(started, { data, folder, log, startMs, signal: closing.signal })
    } catch (error) {
      if (!closing.signal.aborted) await stop(postgresStopMs.closeMs)
      throw error
    }
  }

  /** Starts the server again whenever it ends, until `close`. The port stays the same, because clients know it. */
  const keepRunning = async (data: string, port: number): Promise<void> => {
    const backoff = createBackoff({ minMs: restartDelayMsMin, maxMs: restartDelayMsMax })
    while (!closing.signal.aborted) {
      const status = await server?.ended
      if (closing.signal.aborted) return
      const reason = `PostgreSQL ended with ${status}: ${await lastLines(folder)}`
      log.error(
        { err: new Failure('DATABASE_UNAVAILABLE', { reason }), pauseMs: backoff.nextMs },
        'starting PostgreSQL again',
      )
      await backoff.pause(closing.signal)
      if (closing.signal.aborted) return
      try {
        await endLeftovers(data, log, closing.signal)
        await launch(data, port)
        log.info({ port }, 'PostgreSQL is back')
        backoff.reset()
      } catch (err) {
        log.error({ err }, 'PostgreSQL did not start')
      }
    }
  }

  try {
    const data = await prepareCluster({
      folder,
      runner,
      password,
      output: output.fd,
      durable,
      preload,
      lock: lock.fd,
      log,
    })
    const port = await startOnSomePort(join(folder, 'postgres.port'), (candidate) => launch(data, candidate))
    log.info({ port, as: runner.kind }, 'PostgreSQL is ready')
    const restarts = keepRunning(data, port)
    let running = true
    return {
      url: urlOf(password, port),
      pid: () => (server?.running() ? server.pid : undefined),
      close: async (msMax = postgresStopMs.closeMs) => {
        if (!running) return
        running = false
        const until = performance.now() + msMax * (1 - orphansShare)
        closing.abort()
        try {
          await stop(until - performance.now())
          await restarts
          await stop(Math.max(until - performance.now(), 0))
          await endOrphans(data, log, msMax * orphansShare)
        } finally {
          await output.close()
          await lock.release()
        }
      },
    }
  } catch (error) {
    await stop(postgresStopMs.closeMs)
    await output.close()
    await lock.release()
    throw error
  }
}

/** Removes the variables by which PostgreSQL's own clients are set up (PGHOST, PGSSLMODE, PGOPTIONS, …). They speak of
 *  other servers, and the driver would apply them to the embedded one too. */
export const dropClientVariables = (environment: NodeJS.ProcessEnv): void => {
  for (const name of Object.keys(environment)) if (/^PG[A-Z]/.test(name)) delete environment[name]
}

const urlOf = (password: string, port: number | string): string =>
  `postgres://${databaseName}:${password}@127.0.0.1:${port}/${databaseName}`

/** Resolves to the URL of the server that another process runs on this data folder; undefined when none has run there
 *  yet. */
export const embeddedPostgresUrl = async (folder: string): Promise<string | undefined> => {
  const password = await readPassword(folder)
  const port = await readText(join(folder, 'postgres.port'))
  return password === undefined || port === undefined ? undefined : urlOf(password, port.trim())
}

/** Launches on the port of the last start when it is free, else on any free one, and resolves to the port. Tries again
 *  when another program has taken the port between the check and the launch. */
const startOnSomePort = async (file: string, launch: (port: number) => Promise<void>): Promise<number> => {
  const lastPort = Number(await readText(file))
  for (let tries = 1; ; tries += 1) {
    const port = tries === 1 && lastPort > 0 && (await isFree(lastPort)) ? lastPort : await anyFreePort()
    try {
      await launch(port)
      if (port !== lastPort) await writeFile(file, `${port}\n`)
      return port
    } catch (error) {
      if (tries === startTriesMax || (await isFree(port))) throw error
    }
  }
}

/** Resolves when the server has written `ready` into its pid file, which pg_ctl waits for too. Throws
 *  DATABASE_UNAVAILABLE. */
const untilReady = async (
  server: WatchedProcess,
  options: {
    readonly data: string
    readonly folder: string
    readonly log: Log
    readonly startMs: number
    readonly signal: AbortSignal
  },
): Promise<void> => {
  const { data, folder, log, startMs, signal } = options
  const begun = performance.now()
  let reports = 0
  while (server.running() && !signal.aborted) {
    const lines = ((await readText(join(data, 'postmaster.pid'))) ?? '').split('\n')
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === 'ready') return
    if (performance.now() - begun > startMs)
      throw new Failure('DATABASE_UNAVAILABLE', {
        reason: `PostgreSQL was not ready after ${startMs} ms: ${await lastLines(folder)}`,
        log: join(folder, 'postgres.log'),
      })
    if (performance.now() - begun > stillStartingMs * (reports + 1)) {
      reports += 1
      log.info({ seconds: Math.round((performance.now() - begun) / 1000) }, 'PostgreSQL is still starting')
    }
    await Promise.race([server.ended, sleep(10)])
  }
  throw new Failure('DATABASE_UNAVAILABLE', {
    reason: signal.aborted ? 'stopped while starting' : `PostgreSQL did not start: ${await lastLines(folder)}`,
    log: join(folder, 'postgres.log'),
  })
}

const openLog = async (path: string) => {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  )
  if (size > logBytesMax) await rename(path, `${path}.1`)
  return open(path, 'a', 0o600)
}

const isFree = async (port: number): Promise<boolean> => (await listenOnce(port)) !== undefined

const anyFreePort = async (): Promise<number> => {
  const port = await listenOnce(0)
  if (port === undefined) throw new Failure('DATABASE_UNAVAILABLE', { reason: 'no port of 127.0.0.1 is free' })
  return port
}

/** Listens for a moment, and resolves to the port; undefined when it is taken. */
const listenOnce = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined))
    })
  })
