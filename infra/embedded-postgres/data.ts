import { randomBytes } from 'node:crypto'
import { lchown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { sleep } from '../async/sleep.ts'
import { type InheritedLock, waitForKernelLock } from '../kernel-lock.ts'
import { exists } from '../system/files.ts'
import { giveTree } from '../system/owner.ts'
import { isStopped, processesIn, sendSignal } from '../system/processes.ts'
import { startWatched } from '../system/watched-process.ts'
import type { Log } from '../telemetry.ts'
import { cleanEnvironment, postgresVersion, type Runner } from './run-as.ts'

/** The name of the database and of the role that owns it. */
export const databaseName = 'neuralmesh'
const programs = ['postgres', 'initdb']
/** How long a server that was left over may take to end, for each signal. A fast shutdown (SIGINT) writes a
 *  checkpoint, so its time is long. */
const endSignals = [
  { signal: 'SIGINT', waitMs: 20_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
] as const

/** How long a server of another container may take to end; it does so by itself when its platform has ended. */
const leftoverMsMax = 30_000

type ClusterOptions = {
  readonly folder: string
  readonly runner: Runner
  readonly password: string
  readonly output: number
  readonly durable: boolean
  /** A library whose extension every database of the cluster has. */
  readonly preload?: string
  /** The descriptor of the lock of `lockServers`, which each program inherits. */
  readonly lock: number | undefined
  readonly log: Log
}

/** Ends the servers that an earlier run has left, and takes the lock that a server holds as long as one of its processes
 *  lives: a server in another container is not seen, and would write beside a second one. Where the kernel has no
 *  locks, there is none. Throws DATABASE_UNAVAILABLE when a server does not end. */
export const lockServers = async (folder: string, log: Log): Promise<InheritedLock> => {
  const data = join(folder, 'postgres')
  await endLeftovers(data, log)
  await endLeftovers(join(folder, 'postgres.new'), log)
  const lock = await waitForKernelLock(join(folder, 'postgres.lock'), {
    msMax: leftoverMsMax,
    onWait: () => log.warn('waiting for a PostgreSQL on this data that is not seen from here'),
  })
  if (lock !== undefined) return lock
  throw new Failure('DATABASE_UNAVAILABLE', {
    reason: `a PostgreSQL that is not seen from here still runs on ${data}, as one of another container`,
    ways: 'stop that container, or the processes that have postgres.lock open',
  })
}

/** Ensures that `<folder>/postgres` holds a database cluster of this version for the runner. Needs lockServers. Resolves
 *  to the path. Throws DATA_FOLDER_VERSION, DATA_FOLDER_UNREACHABLE, DATABASE_UNAVAILABLE. */
export const prepareCluster = async (options: ClusterOptions): Promise<string> => {
  const { folder, runner } = options
  const data = join(folder, 'postgres')
  const unfinished = join(folder, 'postgres.new')
  await rm(unfinished, { recursive: true, force: true })
  if (!(await exists(data))) await createCluster(options, unfinished, data)
  await refuseOtherVersion(data)
  await giveTo(data, runner.owner)
  return data
}

/** Throws DATA_FOLDER_VERSION for data that is not of this version. */
export const refuseOtherVersion = async (data: string): Promise<void> => {
  if (!(await exists(data))) return
  const found = (await readText(join(data, 'PG_VERSION')))?.trim()
  if (found !== postgresVersion)
    throw new Failure('DATA_FOLDER_VERSION', {
      folder: data,
      found: found === undefined ? 'no PostgreSQL data' : `PostgreSQL ${found}`,
      needed: `PostgreSQL ${postgresVersion}`,
    })
}

/** Ends the servers that an earlier run has left on this data. This process holds the lock of the data folder, so no
 *  other process uses them. One that is stopped (SIGSTOP) is killed. Throws DATABASE_UNAVAILABLE when one does not end.
 *  @param hurry shortens each wait but the last, once it aborts. */
export const endLeftovers = async (data: string, log: Log, hurry?: AbortSignal): Promise<void> => {
  if (!(await exists(data))) return
  const folder = await realpath(data)
  const named = await namedPid(data)
  for (const { signal, waitMs } of endSignals) {
    const pids = await processesIn(folder, programs)
    if (pids.length === 0) break
    log.warn({ pids, signal }, 'ending a PostgreSQL of an earlier run')
    // The first process ends the others by itself; they are signalled only when it is gone.
    for (const pid of pids.includes(named) && signal !== 'SIGKILL' ? [named] : pids) sendSignal(pid, signal)
    for (let waited = 0; waited < waitMs && (signal === 'SIGKILL' || !hurry?.aborted); waited += 20) {
      const left = await processesIn(folder, programs)
      if (left.length === 0) break
      for (const pid of left) if (isStopped(pid)) sendSignal(pid, 'SIGKILL')
      await sleep(20)
    }
  }
  const pids = await processesIn(folder, programs)
  if (pids.length > 0)
    throw new Failure('DATABASE_UNAVAILABLE', { reason: `an earlier PostgreSQL does not end: ${pids.join(', ')}` })
}

/** Removes the pid file of a server that has ended, when its pid belongs to another program by now, which PostgreSQL would
 *  take for its predecessor, or when it names none: a server that was killed while it wrote the file leaves it empty, and
 *  no other would start. */
export const dropPidFile = async (data: string): Promise<void> => {
  const named = await namedPid(data)
  if (!(named > 0) || (await exists(`/proc/${named}`))) await rm(join(data, 'postmaster.pid'), { force: true })
}

const namedPid = async (data: string): Promise<number> =>
  Number((await readText(join(data, 'postmaster.pid')))?.split('\n')[0] ?? 0)

/** Resolves when no server process is left on this data. For a first process that has ended: the others end with it, and
 *  where it was killed they do so by themselves, a moment later. One that does not is killed, after half of `msMax`.
 *  Throws DATABASE_UNAVAILABLE after all of it. */
export const endOrphans = async (data: string, log: Log, msMax: number): Promise<void> => {
  const folder = await realpath(data).catch(() => undefined)
  if (folder === undefined) return
  const until = performance.now() + msMax
  for (let killed = false; ; ) {
    const pids = await processesIn(folder, programs)
    if (pids.length === 0) return
    const leftMs = until - performance.now()
    if (!killed && (leftMs < msMax / 2 || pids.some(isStopped))) {
      log.warn({ pids }, 'killing processes of a PostgreSQL that has ended')
      for (const pid of pids) sendSignal(pid, 'SIGKILL')
      killed = true
    }
    if (leftMs < 0) throw new Failure('DATABASE_UNAVAILABLE', { reason: `PostgreSQL does not end: ${pids.join(', ')}` })
    await sleep(20)
  }
}

/** Creates the cluster in another folder and moves it when it is complete, so that a cluster exists whole or not at
 *  all. */
const createCluster = async (options: ClusterOptions, unfinished: string, data: string): Promise<void> => {
  const { runner, password, durable, preload = '', log } = options
  log.info('creating the database')
  await mkdir(unfinished, { mode: 0o700 })
  const draft = join(unfinished, 'data')
  const secret = join(unfinished, 'password')
  const script = join(unfinished, 'first.sql')
  // The platform's role is no superuser, so that it cannot lift what the database refuses; the superuser's password is
  // not kept.
  await writeFile(secret, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  await writeFile(
    script,
    `${preload && `create extension ${preload}\n`}create role ${databaseName} login createdb password '${password}'\ncreate database ${databaseName} owner ${databaseName}\n`,
    { mode: 0o600 },
  )
  // The folder is last: until then no other user may enter it.
  for (const path of [secret, script, unfinished]) await lchown(path, runner.owner, groupOf(runner.owner))
  await runToEnd(options, unfinished, [
    ...runner.prefix,
    join(runner.bin, 'initdb'),
    `--pgdata=${draft}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${secret}`,
    '--locale=C.UTF-8',
    '--encoding=UTF8',
    '--no-instructions',
    ...(durable ? [] : ['--no-sync']),
  ])
  const single = [join(runner.bin, 'postgres'), '--single', '-D', draft, '-c', 'exit_on_error=on', 'template1']
  await runToEnd(options, unfinished, ['/bin/sh', '-c', 'exec "$@" < "$0"', script, ...runner.prefix, ...single])
  await rename(draft, data)
  await rm(unfinished, { recursive: true, force: true })
}

const runToEnd = async (
  { runner, output, folder, lock }: ClusterOptions,
  cwd: string,
  command: readonly string[],
): Promise<void> => {
  const child = await startWatched({ command, cwd, env: cleanEnvironment(), output, uid: runner.uid, lock })
  const status = await child.ended
  if (status !== 0)
    throw new Failure('DATABASE_UNAVAILABLE', {
      reason: `creating the database ended with ${status}: ${await lastLines(folder)}`,
      log: join(folder, 'postgres.log'),
    })
}

/** Resolves to the last three lines of the server's log, for a message. */
export const lastLines = async (folder: string): Promise<string> =>
  ((await readText(join(folder, 'postgres.log'))) ?? '').trim().split('\n').slice(-3).join(' | ')

/** Changes the owner of the data. Throws DATA_FOLDER_UNREACHABLE when that is not possible. */
const giveTo = async (data: string, owner: number): Promise<void> => {
  const found = (await stat(data)).uid
  if (found === owner) return
  if (process.getuid?.() !== 0)
    throw new Failure('DATA_FOLDER_UNREACHABLE', {
      folder: data,
      reason: `it belongs to user ${found}, not to ${owner}`,
    })
  await giveTree(data, owner, groupOf(owner)).catch((error: unknown) => {
    throw new Failure('DATA_FOLDER_UNREACHABLE', { folder: data, reason: String(error) }, error)
  })
}

const groupOf = (owner: number): number => (owner === process.getuid?.() ? (process.getgid?.() ?? owner) : owner)

/** Resolves to the text of a file; undefined when it cannot be read. */
export const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined)
