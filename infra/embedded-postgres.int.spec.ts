import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { isRunning, runChild } from '../testing/children.ts'
import { eventually } from '../testing/eventually.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import type { RunnerKind } from './embedded-postgres/run-as.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'
import { connectPostgres, type Database } from './postgres.ts'
import { exists } from './system/files.ts'
import { processesIn, readProcess } from './system/processes.ts'
import { createLog } from './telemetry.ts'

const isRoot = process.getuid?.() === 0
const ifRoot = isRoot ? test : test.skip

let parent: string
let folder: string
let lines: Record<string, unknown>[]
let opened: { close(): Promise<void> }[]
const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) })

beforeEach(async () => {
  parent = await realpath(await mkdtemp(join(tmpdir(), 'neuralmesh-postgres-')))
  await chmod(parent, 0o755)
  folder = join(parent, 'data')
  await mkdir(folder, { mode: 0o755 })
  lines = []
  opened = []
})
const ownProcesses = () => processesIn(folder, ['postgres', 'initdb', 'sh', 'dash'])
afterEach(async () => {
  for (const { close } of opened.toReversed()) await close()
  expect(await ownProcesses()).toEqual([])
  await rm(parent, { recursive: true })
})

const start = async (runAs?: RunnerKind): Promise<{ server: EmbeddedPostgres; database: Database }> => {
  const server = await startEmbeddedPostgres({ folder, log, ...(runAs === undefined ? {} : { runAs }) })
  const database = connectPostgres({ url: server.url, log: silentLog, poolSize: 2 })
  opened.push(server, database)
  return { server, database }
}
const stop = async () => {
  for (const { close } of opened.splice(0).toReversed()) await close()
}
const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const error = await work.then(
    () => new Error('it worked'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}
const keep = (database: Database, word: string) =>
  database.query('test.keep', `create table kept as select '${word}' as word`)
const kept = async (database: Database) =>
  (await database.query<{ word: string }>('test.kept', 'select word from kept')).map(({ word }) => word)

/** Starts a platform in another process, which prints the server's pid and then runs `then`. */
const runPlatform = (then: string) => {
  const at = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href)
  return runChild(`
    process.on('SIGINT', () => {})
    const { startEmbeddedPostgres } = await import(${at('embedded-postgres.ts')})
    const { connectPostgres } = await import(${at('postgres.ts')})
    const { createLog } = await import(${at('telemetry.ts')})
    const log = createLog({ level: 'silent', format: 'json' })
    const server = await startEmbeddedPostgres({ folder: ${JSON.stringify(folder)}, log })
    const database = connectPostgres({ url: server.url, log, poolSize: 1 })
    ${then}
    setInterval(() => {}, 1000)`)
}

test('starts, keeps its data and its port, and leaves no process', async () => {
  const first = await start()
  await keep(first.database, 'here')
  const pid = first.server.pid() ?? 0
  expect(isRunning(pid)).toBe(true)
  await stop()
  expect(isRunning(pid)).toBe(false)
  const second = await start()
  expect([second.server.url, await kept(second.database)]).toEqual([first.server.url, ['here']])
})

test('is version 18, durable, exact in its collation, and closed to other users', async () => {
  const { server, database } = await start()
  const [row] = await database.query(
    'test.settings',
    `select current_setting('server_version_num')::int / 10000 as version, current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as synchronous_commit, current_setting('jit') as jit,
            current_setting('listen_addresses') as listen_addresses, current_setting('timezone') as timezone,
            current_setting('password_encryption') as passwords, current_setting('server_encoding') as encoding,
            current_setting('authentication_timeout') as authentication_timeout,
            (select datcollate from pg_database where datname = current_database()) as collation,
            (select rolsuper from pg_roles where rolname = current_user) as super`,
  )
  expect(row).toEqual({
    version: 18,
    fsync: 'on',
    synchronous_commit: 'on',
    jit: 'off',
    listen_addresses: '127.0.0.1',
    timezone: 'UTC',
    passwords: 'scram-sha-256',
    encoding: 'UTF8',
    authentication_timeout: '10s',
    collation: 'C.UTF-8',
    super: false,
  })
  expect((await stat(join(folder, 'keys', 'postgres'))).mode & 0o777).toBe(0o600)
  const url = new URL(server.url)
  url.password = 'guess'
  const unauthorised = connectPostgres({ url: url.href, log: silentLog, poolSize: 1 })
  opened.push(unauthorised)
  await expect(unauthorised.query('test.one', 'select 1')).rejects.toMatchObject({ code: '28P01' })
})

test('takes another port when its own was taken meanwhile', async () => {
  const first = await start()
  await keep(first.database, 'here')
  const port = Number(new URL(first.server.url).port)
  await stop()
  const thief = createServer()
  await new Promise<void>((resolve) => thief.listen(port, '127.0.0.1', resolve))
  const second = await start()
  thief.close()
  expect(Number(new URL(second.server.url).port)).not.toBe(port)
  expect(await kept(second.database)).toEqual(['here'])
})

describe('when the platform is killed', () => {
  test('the server ends within two seconds', async () => {
    const platform = runPlatform('console.log(server.pid())')
    const pid = Number(await platform.firstLine)
    await platform.kill()
    await eventually('the server to end', async () => !isRunning(pid), 2_000)
    await eventually('what watched it to end', async () => (await ownProcesses()).length === 0)
  })

  test('and started again at once, every acknowledged write is there', async () => {
    for (let round = 1; round <= 3; round += 1) {
      const platform = runPlatform(`
        await database.query('x', 'create table if not exists promised (round int, number int)')
        for (let number = 1; ; number += 1) {
          await database.query('x', 'insert into promised values (${round}, $1)', [number])
          if (number % 50 === 0) console.log(number)
        }`)
      await platform.firstLine
      await platform.kill()
      const promised = Number((await platform.ended).output.trim().split('\n').at(-1))
      const { database } = await start()
      const [row] = await database.query<{ count: bigint }>(
        'test.count',
        'select count(distinct number) from promised where round = $1',
        [round],
      )
      expect(Number(row?.count)).toBeGreaterThanOrEqual(promised)
      await stop()
    }
  })

  test('while the database was being created, it is created anew', async () => {
    const platform = runPlatform('')
    await eventually('the beginning', () => exists(join(folder, 'postgres.new', 'data', 'global')))
    await platform.kill()
    expect(await exists(join(folder, 'postgres'))).toBe(false)
    const { database } = await start()
    await keep(database, 'here')
    expect(await exists(join(folder, 'postgres.new'))).toBe(false)
  })

  test('Ctrl-C in the terminal does not reach the server before the platform closes it', async () => {
    const platform = runPlatform('console.log(server.pid())')
    const pid = Number(await platform.firstLine)
    expect(readProcess(pid)?.session).not.toBe(readProcess(platform.process.pid ?? 0)?.session)
    await platform.kill()
    await eventually('the server to end', async () => !isRunning(pid), 2_000)
  })
})

describe('when the server dies', () => {
  test.each(['SIGKILL', 'SIGQUIT', 'SIGINT'] as const)('by %s, it is back on the same port', async (signal) => {
    const { server, database } = await start()
    await keep(database, 'here')
    const pid = server.pid() ?? 0
    process.kill(pid, signal)
    await eventually('another server', () => server.pid() !== undefined && server.pid() !== pid)
    await database.waitUntilReady(10_000)
    expect(await kept(database)).toEqual(['here'])
    expect(lines).toContainEqual(
      expect.objectContaining({ err: expect.objectContaining({ code: 'DATABASE_UNAVAILABLE' }) }),
    )
    await eventually('a log line that it is back', () => lines.some(({ msg }) => msg === 'PostgreSQL is back'))
  })

  test('closing does not wait for its return', async () => {
    const { server } = await start()
    process.kill(server.pid() ?? 0, 'SIGKILL')
    await eventually('the death to be noticed', () => server.pid() === undefined)
    await stop()
  })

  test('closing waits for each of its processes, also for one that does not notice', async () => {
    const { server } = await start()
    const pid = server.pid() ?? 0
    const children = (await processesIn(folder, ['postgres'])).filter((child) => child !== pid)
    expect(children.length).toBeGreaterThan(2)
    const stopped = children[0] ?? 0
    process.kill(stopped, 'SIGSTOP')
    process.kill(pid, 'SIGKILL')
    await eventually('the death to be noticed', () => server.pid() === undefined)
    await stop()
    expect(await processesIn(folder, ['postgres'])).toEqual([])
    expect(isRunning(stopped)).toBe(false)
  })

  test('and its watchdog with it, the orphan is ended and followed by another', async () => {
    const { server, database } = await start()
    const pid = server.pid() ?? 0
    process.kill(readProcess(pid)?.parent ?? Number.NaN, 'SIGKILL')
    await eventually('another server', () => server.pid() !== undefined && server.pid() !== pid)
    await database.waitUntilReady(10_000)
    expect(isRunning(pid)).toBe(false)
  })
})

test.each([
  [
    'names another program by now',
    (data: string, port: string) => `${process.ppid}\n${data}\n1\n${port}\n\n127.0.0.1\n  1 1\nready   \n`,
  ],
  ['is empty, as of a server that was killed while it wrote it', () => ''],
  ['was cut', () => '-'],
])('a pid file that %s is ignored', async (_, contentOf) => {
  await start()
  await stop()
  const port = (await readFile(join(folder, 'postgres.port'), 'utf8')).trim()
  const data = join(folder, 'postgres')
  await writeFile(join(data, 'postmaster.pid'), contentOf(data, port))
  const { database } = await start()
  expect(await database.query('test.one', 'select 1 as one')).toEqual([{ one: 1 }])
})

describe('data of another version is refused with both versions', () => {
  test.each([
    ['17', 'PostgreSQL 17'],
    [undefined, 'no PostgreSQL data'],
  ])('PG_VERSION is %s', async (version, found) => {
    await mkdir(join(folder, 'postgres'), { mode: 0o700 })
    if (version !== undefined) await writeFile(join(folder, 'postgres', 'PG_VERSION'), `${version}\n`)
    const failure = await failureOf(start())
    expect([failure.code, failure.details]).toEqual([
      'DATA_FOLDER_VERSION',
      { folder: join(folder, 'postgres'), found, needed: 'PostgreSQL 18' },
    ])
  })
})

test('a server that cannot start fails with the reason', async () => {
  await start()
  await stop()
  await writeFile(join(folder, 'postgres', 'postgresql.auto.conf'), 'no_such_setting = 1\n')
  const failure = await failureOf(start())
  expect([failure.code, failure.details.reason]).toEqual([
    'DATABASE_UNAVAILABLE',
    expect.stringContaining('no_such_setting'),
  ])
})

describe('as root', () => {
  ifRoot('the data goes along from one way of running to the other and back', async () => {
    const owners: number[] = []
    for (const runAs of ['namespace', 'nobody', 'namespace'] as const) {
      const { database } = await start(runAs)
      if (owners.length === 0) await keep(database, 'here')
      expect(await kept(database)).toEqual(['here'])
      owners.push((await stat(join(folder, 'postgres', 'base'))).uid)
      await stop()
    }
    expect(owners).toEqual([0, 65534, 0])
  })

  ifRoot('in a namespace no parent folder needs to be open', async () => {
    await chmod(parent, 0o700)
    const { database } = await start('namespace')
    expect(await database.query('test.one', 'select 1 as one')).toEqual([{ one: 1 }])
  })

  ifRoot('as another user, a closed parent folder is named, with the ways out', async () => {
    await chmod(parent, 0o700)
    const failure = await failureOf(start('nobody'))
    expect(failure.code).toBe('DATA_FOLDER_UNREACHABLE')
    expect(failure.details.reason).toContain(`cannot enter ${parent}`)
    expect(failure.details.ways).toContain('DATABASE_URL')
  })
})
