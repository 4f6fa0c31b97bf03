import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../infra/async/sleep.ts'
import { startEmbeddedPostgres } from '../infra/embedded-postgres.ts'
import { connectPostgres, type Database } from '../infra/postgres.ts'
import type { Shutdown } from '../infra/shutdown.ts'
import type { Log } from '../infra/telemetry.ts'

/** A PostgreSQL for the benches alone. */
export type Server = {
  /** The settings that decide the figures, as the server reports them. */
  readonly settings: Readonly<Record<string, string>>
  /** Creates an empty database. Resolves to its URL. */
  createDatabase(): Promise<string>
  /** Drops a database. That makes the server write a checkpoint, so the next measurement begins with a clean slate. */
  dropDatabase(url: string): Promise<void>
  /** Throws when our own server has fewer bytes free for its data; of another server that is unknown. */
  needBytes(bytes: number): Promise<void>
}

const shownSettings = [
  'server_version',
  'synchronous_commit',
  'fsync',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
  'max_wal_size',
] as const
const mustBeOn = ['synchronous_commit', 'fsync', 'full_page_writes'] as const
const readyMsMax = 30_000
const leaveLookMs = 10
const leaveLooksMax = 200

/** Starts PostgreSQL in a temporary folder with the settings of the product's embedded server, or takes the one at
 *  `url`. What it made is gone after the shutdown. Throws when the server does not keep what it promises, unless
 *  `careless`. */
export const openServer = async (options: {
  readonly url: string | undefined
  readonly careless: boolean
  readonly log: Log
  readonly shutdown: Shutdown
  /** Whether our own server counts the statements that it runs. */
  readonly counting?: boolean
}): Promise<Server> => {
  const { log, shutdown, careless, counting = false } = options
  const folder = options.url === undefined ? await makeFolder(shutdown) : undefined
  const home = folder === undefined ? (options.url ?? '') : await startOwn(folder, log, shutdown, counting)
  const admin = connectPostgres({ url: home, poolSize: 1, log, slowQueryMs: Number.POSITIVE_INFINITY })
  const made = new Set<string>()
  const drop = async (url: string) => {
    made.delete(url)
    const name = new URL(url).pathname.slice(1)
    // A pool reports its end before its connections are closed; cutting them would be an error in its process.
    for (let looks = 0; looks < leaveLooksMax; looks += 1) {
      const open = await admin.query('bench.connections', 'select from pg_stat_activity where datname = $1', [name])
      if (open.length === 0) break
      await sleep(leaveLookMs)
    }
    await admin.query('bench.drop', `drop database if exists ${name} with (force)`)
  }
  shutdown.add('bench databases', async () => {
    // The data of our own server goes with its folder.
    if (folder === undefined) for (const url of made) await drop(url)
    await admin.close()
  })
  await admin.waitUntilReady(readyMsMax)
  const settings = await readSettings(admin)
  const off = mustBeOn.filter((name) => settings[name] !== 'on')
  if (off.length > 0 && !careless)
    throw new Error(
      `what is appended must be on disk when it is acknowledged, but this server has ${off.join(', ')} off`,
    )
  return {
    settings,
    createDatabase: async () => {
      const name = `bench_${randomBytes(8).toString('hex')}`
      const url = new URL(home)
      url.pathname = `/${name}`
      made.add(url.href)
      await admin.query('bench.create', `create database ${name}`)
      return url.href
    },
    dropDatabase: drop,
    needBytes: async (bytes) => {
      if (folder === undefined) return
      const { bavail, bsize } = await statfs(folder)
      if (bavail * bsize < bytes)
        throw new Error(
          `needs ${inGigabytes(bytes)} in ${folder}, and ${inGigabytes(bavail * bsize)} are free: fewer --events, or TMPDIR elsewhere`,
        )
    },
  }
}

const inGigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

const makeFolder = async (shutdown: Shutdown): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-bench-'))
  const removal = { recursive: true, force: true, maxRetries: 5 } as const
  shutdown.add('bench folder', () => rm(folder, removal))
  // A second Ctrl-C does not wait for the shutdown; the server ends by itself when we are gone.
  process.once('exit', () => rmSync(folder, removal))
  // PostgreSQL may have to run as another user.
  await chmod(folder, 0o755)
  return folder
}

const startOwn = async (folder: string, log: Log, shutdown: Shutdown, counting: boolean): Promise<string> => {
  const server = await startEmbeddedPostgres({ folder, log, ...(counting && { preload: 'pg_stat_statements' }) })
  shutdown.add('bench PostgreSQL', () => server.close())
  return server.url
}

const readSettings = async (database: Database): Promise<Record<string, string>> => {
  const rows = await database.query<{ name: string; value: string }>(
    'bench.settings',
    'select name, current_setting(name) as value from unnest($1::text[]) name',
    [shownSettings],
  )
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}
