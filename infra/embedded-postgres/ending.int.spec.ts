import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { enterNamespace, runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { startEmbeddedPostgres } from '../embedded-postgres.ts'
import { tryKernelLock } from '../kernel-lock.ts'
import { connectPostgres } from '../postgres.ts'
import { processesIn, readProcess, sendSignal } from '../system/processes.ts'

const closeMs = 5_000

// One folder for all: to create a database takes longer than the tests.
let folder: string
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'neuralmesh-ending-')))
  await chmod(folder, 0o755)
})
afterEach(async () => expect(await allIn()).toEqual([]))
afterAll(() => rm(folder, { recursive: true }))

const start = (options: { startMs?: number } = {}) =>
  startEmbeddedPostgres({ folder, log: silentLog, durable: false, ...options })
const allIn = () => processesIn(folder, ['postgres', 'initdb', 'sh', 'dash', 'busybox'])
const backends = async (first = 0) => (await processesIn(folder, ['postgres'])).filter((pid) => pid !== first)
const isLocked = async () => {
  const lock = await tryKernelLock(join(folder, 'postgres.lock'), 'file')
  if (lock.kind === 'held') await lock.release()
  return lock.kind === 'taken'
}

describe('a server with stopped processes ends in time, and leaves none', () => {
  const watchdogOf = (first: number) => readProcess(first)?.parent ?? 0
  const stopped: [string, (first: number) => Promise<number[]>][] = [
    ['the first one', async (first) => [first]],
    ['one that serves it', async (first) => (await backends(first)).slice(0, 1)],
    ['its watchdog', async (first) => [watchdogOf(first)]],
    [
      'the reader beside it',
      async (first) => (await allIn()).filter((pid) => readProcess(pid)?.parent === watchdogOf(first) && pid !== first),
    ],
    ['all of them', () => allIn()],
  ]
  test.each(stopped)('%s', async (_, choose) => {
    const server = await start()
    const pids = await choose(server.pid() ?? 0)
    expect(pids.length).toBeGreaterThan(0)
    for (const pid of pids) sendSignal(pid, 'SIGSTOP')
    await server.close(closeMs)
    expect(await allIn()).toEqual([])
    expect(await isLocked()).toBe(false)
  })
})

test('a server that does not become ready is ended after the limit, and the folder is free', async () => {
  await (await start()).close()
  // No server is ready so soon.
  await expect(start({ startMs: 1 })).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    details: { reason: expect.stringContaining('not ready after 1 ms') },
  })
  expect(await allIn()).toEqual([])
  await (await start()).close()
})

/** Starts a server in another process, which prints a line when it waits for another server, and one with what is kept
 *  in the database when it is ready. It keeps its name there. */
const runServer = (table: string, name: string, enter?: readonly string[]) => {
  const at = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, '..', path)).href)
  return runChild(
    `
    const { startEmbeddedPostgres } = await import(${at('embedded-postgres.ts')})
    const { connectPostgres } = await import(${at('postgres.ts')})
    const { createLog } = await import(${at('telemetry.ts')})
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => console.log(JSON.parse(line).msg) })
    const server = await startEmbeddedPostgres({ folder: ${JSON.stringify(folder)}, log })
    const database = connectPostgres({ url: server.url, log, poolSize: 1 })
    await database.query('x', 'create table if not exists ${table} (name text)')
    await database.query('x', 'insert into ${table} values ($1)', [${JSON.stringify(name)}])
    console.log('ready', JSON.stringify(await database.query('x', 'select name from ${table}')))
    setInterval(() => {}, 1000)`,
    { enter },
  )
}

test('a server whose platform was killed keeps the lock while one of its processes lives', async () => {
  const platform = runServer('lonely', 'ada')
  expect(await platform.firstLine).toBe('ready [{"name":"ada"}]')
  for (const pid of await backends()) sendSignal(pid, 'SIGSTOP')
  await platform.kill()
  expect(await isLocked()).toBe(true)
  const server = await start()
  const database = connectPostgres({ url: server.url, log: silentLog, poolSize: 1 })
  expect(await database.query('test.kept', 'select name from lonely')).toEqual([{ name: 'ada' }])
  await database.close()
  await server.close()
})

const enter = enterNamespace()
const ifNamespaces = enter === undefined ? test.skip : test
const unless = enter === undefined ? ' (skipped: no pid namespace can be made here)' : ''
ifNamespaces(`a server of another pid namespace is waited for, and every write of it is there${unless}`, async () => {
  const first = runServer('shared', 'ada', enter)
  expect(await first.firstLine).toBe('ready [{"name":"ada"}]')
  const second = runServer('shared', 'bob', enter)
  try {
    expect(await second.firstLine).toContain('waiting for a PostgreSQL')
    await first.kill()
    await eventually('the second server', async () => second.output().includes('ready'))
    expect(second.output()).toContain('ready [{"name":"ada"},{"name":"bob"}]')
  } finally {
    await first.kill()
    await second.kill()
    await eventually('all to end', async () => (await allIn()).length === 0)
  }
})
