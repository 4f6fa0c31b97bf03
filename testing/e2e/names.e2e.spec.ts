// Names that are data, as a whole platform leaves them: in its database, its folder, its metrics and the JSON that its
// tools print. Pinned like those of testing/golden/names.spec.ts; UPDATE=1 adds what is new.
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { byStartedMinute, revenueByGpu } from '../../analysis/revenue-by-gpu.ts'
import { runReplay } from '../../cli/replay.ts'
import { openEventStoreDb } from '../../infra/event-store/eventstoredb.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { migrateOperations } from '../../infra/postgres.ts'
import { startTaskQueue } from '../../infra/task-queue.ts'
import { allProjections } from '../../projections/all.ts'
import { openReadModels } from '../../projections/database.ts'
import { openModel } from '../../projections/engine/versions.ts'
import { runNode } from '../children.ts'
import { startEventStoreDbServer } from '../eventstoredb/server.ts'
import { eventually } from '../eventually.ts'
import { lostNames, newNames, type Pinned, pinNames, readPinned } from '../golden/pinned.ts'
import { createTestDatabase } from '../servers/database.ts'
import { createTestFolder, embeddedDatabaseUrl, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'
import { silentLog } from '../worlds/silent-log.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
let dataDir: string

beforeAll(async () => {
  folder = await createTestFolder()
  dataDir = join(folder.path, 'data')
})
afterAll(async () => {
  await stopTestPlatforms()
  await folder.remove()
})

/** Compares the names with the pinned ones of the same kinds. */
const expectPinned = (names: Pinned): void => {
  if (process.env.UPDATE === '1') pinNames(names)
  const known = Object.fromEntries(Object.entries(readPinned()).filter(([kind]) => kind in names))
  expect({ lost: lostNames(known, names), new: newNames(known, names) }).toEqual({ lost: [], new: [] })
}

/** Returns the paths of all fields of a value: what is in a list stands under `[]`, and what is named by data under
 *  `*`. */
const fieldsOf = (value: unknown, path = ''): string[] => {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([name, inner]) =>
    fieldsOf(inner, `${path}.${/^[a-z][\w]*$/i.test(name) ? name : '*'}`),
  )
}
const unique = (names: readonly string[]): string[] => [...new Set(names)].toSorted()

/** Runs a tool of the project with `--json`. Resolves to the fields of what it prints. */
const fieldsPrintedBy = async (tool: string, ...options: string[]): Promise<string[]> => {
  const env = { DATA_DIR: dataDir, LOG_LEVEL: 'error' }
  const { code, output } = await runNode([`cli/${tool}.ts`, ...options, '--json'], env)
  expect({ tool, code, output }).toEqual({ tool, code: 0, output })
  const lines = output.split('\n').filter((line) => line !== '')
  return unique(lines.flatMap((line) => fieldsOf(JSON.parse(line)).map((field) => `${tool} ${field}`)))
}

const COLUMNS = `select table_schema || '.' || table_name || '.' || column_name as name from information_schema.columns
  where table_schema in ('log', 'read', 'ops')`
const FUNCTIONS = `select n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('log', 'read', 'read_build', 'ops')`
const INDEXES = `select schemaname || '.' || indexname as name from pg_indexes where schemaname in ('log', 'read', 'ops')`
const SCHEMAS = `select nspname as name from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'`

/** Names of what is numbered or named by chance. */
const without = (path: string): string =>
  path
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>')
    .replace(/lock\/\d+/, 'lock/<n>')
    .replace(/\/[0-9a-f]{16,}/g, '/<hash>')

const filesOf = async (): Promise<string[]> => {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => relative(dataDir, join(entry.parentPath, entry.name)))
    // The files of PostgreSQL are not ours. The numbers of users that jobs run as are drawn by chance, and only by root.
    .filter((path) => !/^postgres(-programs)?\/|\/work\/|\/\.uids\//.test(path))
  const described = await Promise.all(
    files.map(async (path) => {
      if (!/\.json$|lock\/\d+$/.test(path)) return [without(path)]
      const fields = fieldsOf(JSON.parse(await readFile(join(dataDir, path), 'utf8')))
      return fields.map((field) => `${without(path)} ${field}`)
    }),
  )
  // Only root gives each job a user of its own.
  return unique(described.flat().filter((name) => !name.endsWith('spec.json .uid')))
}

test('a platform that was rented from, and its tools', async () => {
  const platform = await startTestPlatform(dataDir)
  const toured = await fieldsPrintedBy('tour', '--url', platform.url)
  const metrics = await (await fetch(`${platform.url}/metrics`)).text()
  const status = await (await fetch(`${platform.url}/status`, { headers: { accept: 'application/json' } })).text()
  const ready = await (await fetch(`${platform.url}/ready`)).json()
  const client = new pg.Client({ connectionString: await embeddedDatabaseUrl(dataDir) })
  await client.connect()
  const ask = async (sql: string): Promise<string[]> =>
    unique((await client.query<{ name: string }>(sql)).rows.map(({ name }) => name))
  const replayed = await fieldsPrintedBy('replay', 'analysis/revenue-by-gpu.ts')
  const exported = await fieldsPrintedBy('export', '--out', join(folder.path, 'log-export'))
  const names = {
    'schemas of the database': await ask(SCHEMAS),
    'columns of the database': await ask(COLUMNS),
    'functions of the database': await ask(FUNCTIONS),
    'indexes of the database': await ask(INDEXES),
    'migrations that were run': await ask('select name from read.migrations'),
    'consumers that keep a position': await ask('select name from ops.consumers'),
    'cursors on chains': (await ask('select name from ops.cursors')).map((name) => name.replace(/0x\w+/, '<address>')),
    'tasks of the queue': await ask('select identifier as name from jobs._private_tasks'),
    metrics: unique([...metrics.matchAll(/^# TYPE (?!nodejs_|process_)(\w+)/gm)].map(([, name]) => name ?? '')),
    'fields printed by tools': [...toured, ...replayed, ...exported],
    'fields of /ready and /status': unique([
      ...fieldsOf(ready).map((f) => `ready ${f}`),
      ...fieldsOf(JSON.parse(status)).map((f) => `status ${f}`),
    ]),
    'files of the data folder': await filesOf(),
  }
  await client.end()
  await stopTestPlatforms()
  expectPinned(names)
})

const WAITING = `select classid || ',' || objid || ',' || objsubid as lock from pg_locks
  where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`
const HASH = 'select hashtextextended($1, 0) as key'

test('locks and channels by which processes of two versions know each other', async () => {
  const own = await createTestDatabase()
  const database = own.connect({ poolSize: 8 })
  const channels: string[] = []
  const listening = {
    ...database,
    listen: (channel: string, onNotify: (payload: string) => void) => {
      channels.push(channel)
      return database.listen(channel, onNotify)
    },
  }
  const holder = new pg.Client({ connectionString: own.url })
  holder.on('error', () => undefined)
  await holder.connect()
  /** Holds a lock while the work runs. Resolves to the lock that the work waits for. */
  const waitingFor = async (
    take: string,
    values: readonly unknown[],
    work: () => Promise<unknown>,
  ): Promise<string> => {
    await holder.query('begin')
    await holder.query(take, [...values])
    const working = work()
    const lock = await eventually('something waits for the lock', async () => {
      const { rows } = await database
        .transaction('test.waiting', (query) => query<{ lock: string }>('test', WAITING))
        .then((rows) => ({ rows }))
      return rows[0]?.lock
    })
    await holder.query('rollback')
    await working
    return lock
  }
  const numbers = 'select pg_advisory_xact_lock($1, $2)'
  const text = 'select pg_advisory_xact_lock(hashtextextended($1, 0))'
  const family = 1_852_994_401
  const store = await openPostgresEventStore({ database: listening, pollMs: 50 })
  const event = { id: '0190a6e0-0000-7000-8000-000000000001', type: 'T', data: {} }
  const metadata = {
    commandId: 'c',
    correlationId: 'c',
    causationId: 'c',
    actor: 'system:test',
    time: '2026-01-01T00:00:00.000Z',
    schemaVersion: 1,
  }
  const [model] = allProjections
  if (!model) throw new Error('there is no read model')
  const waits = [
    await waitingFor(numbers, [family, 1], () =>
      store.append({ stream: 's-1', expected: 'no stream', events: [{ ...event, metadata }] }),
    ),
    await waitingFor(numbers, [family, 2], async () => (await openPostgresEventStore({ database: listening })).close()),
    await waitingFor(numbers, [family, 3], () => migrateOperations(database)),
    await waitingFor(numbers, [family, 4], async () =>
      (await openReadModels({ url: own.url, log: silentLog, projections: allProjections, store })).close(),
    ),
    await waitingFor(text, ['jobs.migrate'], async () =>
      (await startTaskQueue({ url: own.url, database, log: silentLog, handlers: {}, concurrency: 1 })).close(),
    ),
    await waitingFor(text, [`neuralmesh read model ${model.name}`], () => openModel(database, model, store)),
  ]
  expect(waits.slice(0, 4)).toEqual([1, 2, 3, 4].map((number) => `${family},${number},2`))
  for (const [index, name] of [
    [4, 'jobs.migrate'],
    [5, `neuralmesh read model ${model.name}`],
  ] as const) {
    const [row] = (await holder.query<{ key: string }>(HASH, [name])).rows
    const key = BigInt.asUintN(64, BigInt(row?.key ?? 0))
    expect(waits[index]).toBe(`${key >> 32n},${key & 0xffffffffn},1`)
  }
  // The last lock is never waited for.
  await holder.query('begin')
  await holder.query('select pg_advisory_xact_lock($1, hashtext($2))', [1_852_994_402, 'replay_a'])
  const replay = {
    replay: revenueByGpu(byStartedMinute),
    schema: 'replay_a',
    period: {},
    about: {},
    store,
    database,
    signal: new AbortController().signal,
  }
  await expect(runReplay(replay)).rejects.toMatchObject({ code: 'REPLAY_SCHEMA_IN_USE' })
  await holder.query('rollback')
  await runReplay(replay)
  const comment = await database.query<{ name: string }>(
    'test',
    `select split_part(obj_description('replay_a'::regnamespace), ' {', 1) as name`,
  )

  const stop = new AbortController()
  const reading = Array.fromAsync(store.subscribe({ signal: stop.signal }))
  await eventually('a channel is listened to', () => channels.length > 0)
  stop.abort()
  await reading
  await store.close()
  await holder.end()
  await own.drop()
  expectPinned({
    channels: unique(channels),
    'comments of replayed schemas': comment.map(({ name }) => name),
  })
})

test('what the log on EventStoreDB holds besides events', async () => {
  const server = await startEventStoreDbServer()
  const foreign = new Set(server.log.records.map(({ stream }) => stream))
  const store = await openEventStoreDb({ url: server.url })
  const metadata = {
    commandId: 'c',
    correlationId: 'c',
    causationId: 'c',
    actor: 'system:test',
    time: '2026-01-01T00:00:00.000Z',
    schemaVersion: 1,
  }
  await store.append({
    stream: 'rental-1',
    expected: 'no stream',
    events: [{ id: '0190a6e0-0000-7000-8000-000000000001', type: 'RentalEnded', data: {}, metadata }],
  })
  const records = server.log.records.filter(({ stream }) => !foreign.has(stream) && !stream.startsWith('$'))
  const names = records.flatMap(({ stream, type, metadata: bytes, data }) => [
    `${stream} ${type}`,
    ...fieldsOf(JSON.parse(Buffer.from(bytes).toString() || '{}')).map((field) => `${stream} metadata ${field}`),
    ...(stream === 'rental-1'
      ? []
      : fieldsOf(JSON.parse(Buffer.from(data).toString())).map((field) => `${stream} data ${field}`)),
  ])
  await store.close()
  await server.stop()
  expectPinned({ 'records on EventStoreDB': unique(names) })
})
