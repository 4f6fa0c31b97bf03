import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually, runChild } from '../testing/children.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { type JobHandler, type Jobs, startJobs } from './jobs.ts'
import { connectPostgres, type Database } from './postgres.ts'
import { startEmbeddedPostgres } from './postgres-embedded.ts'
import { createLog } from './telemetry.ts'

let home: TestDatabase
let database: Database
let lines: Record<string, unknown>[] = []
let opened: Jobs[] = []
const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) })

beforeAll(async () => {
  home = await createTestDatabase()
})
afterAll(() => home.drop())
beforeEach(() => {
  lines = []
  opened = []
  database = connectPostgres({ url: home.url, log, poolSize: 4 })
})
afterEach(async () => {
  await Promise.all(opened.map((jobs) => jobs.close()))
  await database.query('test.clean', 'truncate jobs._private_jobs')
  await database.close()
})

const open = async (handlers: Record<string, JobHandler>, concurrency = 2): Promise<Jobs> => {
  const jobs = await startJobs({ url: home.url, database, log, handlers, concurrency, pollMs: 100 })
  opened.push(jobs)
  return jobs
}
const soon = (ms: number) => new Date(Date.now() + ms)
const left = async () =>
  (await database.query<{ key: string | null }>('test.left', 'select key from jobs.jobs order by id')).map(
    ({ key }) => key,
  )
const noneLeft = () => eventually('no job to be left', async () => (await left()).length === 0)
const cutOthers = () =>
  database.query(
    'test.cut',
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )

const waitingDeletes = () =>
  database.query(
    'test.waiting',
    "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%delete%_private_jobs%'",
  )
const couldNotStore = ({ msg }: Record<string, unknown>) => String(msg).startsWith('Failed to complete jobs')
const listening = () =>
  database.query(
    'test.listening',
    `select from pg_stat_activity where datname = current_database() and query like '%LISTEN "jobs:insert"%' and pid <> pg_backend_pid()`,
  )

test('a job is called with its payload, not before its time, and is gone then', async () => {
  const called: { payload: unknown; at: number }[] = []
  const jobs = await open({ remind: async (payload) => void called.push({ payload, at: Date.now() }) })
  const runAt = soon(400)
  await jobs.schedule('remind', { rentalId: 'r-1', amounts: ['1'] }, { key: 'r-1', runAt })
  await noneLeft()
  expect(called.map(({ payload }) => payload)).toEqual([{ rentalId: 'r-1', amounts: ['1'] }])
  expect(called[0]?.at).toBeGreaterThanOrEqual(runAt.getTime())
})

test('two workers call each of 100 jobs once', async () => {
  const called: unknown[] = []
  const handlers = { count: async (payload: unknown) => void called.push(payload) }
  const [one] = [await open(handlers), await open(handlers)]
  const numbers = Array.from({ length: 100 }, (_, number) => number)
  await Promise.all(numbers.map((number) => one.schedule('count', number, { key: `n-${number}` })))
  await noneLeft()
  expect(called.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers)
})

test('processes that start at once on an empty database do not disturb each other', async () => {
  const fresh = await createTestDatabase()
  const own = connectPostgres({ url: fresh.url, log, poolSize: 4 })
  const start = () => startJobs({ url: fresh.url, database: own, log, handlers: {}, concurrency: 1 })
  const all = await Promise.all([start(), start(), start()])
  await Promise.all(all.map((jobs) => jobs.close()))
  await own.close()
  await fresh.drop()
})

describe('the same key again', () => {
  test('replaces time and payload of what waits', async () => {
    const called: unknown[] = []
    const jobs = await open({ remind: async (payload) => void called.push(payload) })
    await jobs.schedule('remind', 'old', { key: 'r-1', runAt: soon(3_600_000) })
    await jobs.schedule('remind', 'new', { key: 'r-1', runAt: soon(50) })
    await noneLeft()
    expect(called).toEqual(['new'])
  })

  test('from within its own handler is called after it', async () => {
    const called: unknown[] = []
    const jobs: Jobs = await open({
      step: async (payload) => {
        called.push(payload)
        if (payload !== 3) await jobs.schedule('step', Number(payload) + 1, { key: 'walk' })
      },
    })
    await jobs.schedule('step', 1, { key: 'walk' })
    await noneLeft()
    expect(called).toEqual([1, 2, 3])
  })

  test('cancelled, is not called', async () => {
    const called: unknown[] = []
    const jobs = await open({ remind: async (payload) => void called.push(payload) })
    await jobs.schedule('remind', 'cancelled', { key: 'a', runAt: soon(300) })
    await jobs.schedule('remind', 'kept', { key: 'b', runAt: soon(400) })
    await jobs.cancel('a')
    await jobs.cancel('never scheduled')
    await noneLeft()
    expect(called).toEqual(['kept'])
  })
})

test('a job whose handler throws is called again later, and the operator is told', async () => {
  let calls = 0
  const jobs = await open({
    shaky: async () => {
      calls += 1
      if (calls === 1) throw new Error('boom')
    },
  })
  await jobs.schedule('shaky', {}, { key: 's-1' })
  await noneLeft()
  expect(calls).toBe(2)
  expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([
    { part: 'jobs', job: 'shaky', key: 's-1', attempt: 1, err: { message: 'boom' } },
  ])
})

test('who has no handlers may schedule, and others do the work, also those that come later', async () => {
  const gateway = await open({})
  await gateway.schedule('remind', 1, { key: 'a' })
  await gateway.close()
  expect(await left()).toEqual(['a'])
  await open({ other: async () => undefined })
  const called: unknown[] = []
  await open({ remind: async (payload) => void called.push(payload) })
  await noneLeft()
  expect(called).toEqual([1])
})

test('closing waits for the running handler, which is not called again', async () => {
  const gate = Promise.withResolvers<void>()
  const order: string[] = []
  const jobs = await open({
    long: async () => {
      order.push('begun')
      await gate.promise
      order.push('ended')
    },
  })
  await jobs.schedule('long', {}, { key: 'l-1' })
  await eventually('the handler to run', () => order.length === 1)
  const closed = jobs.close().then(() => order.push('closed'))
  gate.resolve()
  await closed
  expect(order).toEqual(['begun', 'ended', 'closed'])
  expect(await left()).toEqual([])
})

test('no signal handlers are installed', async () => {
  const before = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')
  await open({ remind: async () => undefined })
  expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')).toBe(before)
})

describe('what must not lose a job', () => {
  test('connections that break while handlers run and while nobody works', async () => {
    const called: unknown[] = []
    const gate = Promise.withResolvers<void>()
    const jobs = await open({
      slow: async (payload) => {
        called.push(payload)
        await gate.promise
      },
      quick: async (payload) => void called.push(payload),
    })
    await jobs.schedule('slow', 'slow', { key: 'slow' })
    await eventually('the slow one to run', () => called.includes('slow'))
    await cutOthers()
    gate.resolve()
    await cutOthers()
    await jobs.schedule('quick', 'quick', { key: 'quick' })
    await noneLeft()
    expect(called).toContain('quick')
  })

  test('how it ended cannot be stored: it is called again', async () => {
    let calls = 0
    const other = connectPostgres({ url: home.url, log, poolSize: 1 })
    const jobs = await open({
      once: async () => {
        calls += 1
        // The row is held, so that the delete of the finished job waits, and its connection is cut in there.
        if (calls > 1) return
        await other.query('test.begin', 'begin')
        await other.query('test.hold', 'select from jobs._private_jobs for update')
      },
    })
    await jobs.schedule('once', {}, { key: 'o-1' })
    // The delete must be cut while it waits: let go of the row first, and it would go through.
    await eventually('the delete to wait, and to be cut', async () => {
      const found = await database.query(
        'test.cut',
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and query like '%delete%_private_jobs%'",
      )
      return found.length > 0
    })
    await cutOthers()
    await noneLeft()
    expect(calls).toBe(2)
    await other.close()
  })

  test('how two ended cannot be stored while a third one fails: both are called again, and closing ends', async () => {
    const calls: unknown[] = []
    const held = Promise.withResolvers<void>()
    const cut = Promise.withResolvers<void>()
    const other = connectPostgres({ url: home.url, log, poolSize: 1 })
    const note = async (payload: unknown) => {
      calls.push(payload)
      if (calls.length === 3) {
        await other.query('test.begin', 'begin')
        await other.query('test.hold', 'select from jobs._private_jobs for update')
        held.resolve()
      }
      await held.promise
      // One statement each, and not one for both.
      if (payload === 'b') await delay(50)
      if (payload === 'fails') await cut.promise
    }
    const jobs = await open({ note }, 3)
    await Promise.all(['a', 'b', 'fails'].map((name) => jobs.schedule('note', name, { key: name })))
    await eventually('both deletes to wait', async () => (await waitingDeletes()).length === 2)
    await cutOthers()
    await eventually('both failures to be seen', () => lines.filter(couldNotStore).length === 2)
    cut.reject(new Error('boom'))
    await eventually('only the one that fails to be left', async () => (await left()).join() === 'fails')
    expect(calls.filter((payload) => payload !== 'fails').toSorted()).toEqual(['a', 'a', 'b', 'b'])
    await jobs.close()
    await eventually('its connections to be gone', async () => (await listening()).length === 0)
    await other.close()
  }, 30_000)

  test('a database server that dies while a handler runs, and comes back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-jobs-'))
    await chmod(folder, 0o755)
    const server = await startEmbeddedPostgres({ folder, log })
    const own = connectPostgres({ url: server.url, log, poolSize: 2 })
    const called: unknown[] = []
    const gate = Promise.withResolvers<void>()
    const slow = async (payload: unknown) => {
      called.push(payload)
      await gate.promise
    }
    const jobs = await startJobs({
      url: server.url,
      database: own,
      log,
      handlers: { slow },
      concurrency: 2,
      pollMs: 100,
    })
    await jobs.schedule('slow', 'before', { key: 'a' })
    await eventually('the handler to run', () => called.length === 1)
    process.kill(server.pid() ?? 0, 'SIGKILL')
    await eventually('the death to be noticed', () => server.pid() === undefined)
    gate.resolve()
    await own.waitUntilReady(10_000)
    await jobs.schedule('slow', 'after', { key: 'b' })
    await eventually('no job to be left', async () => {
      const rows = await own.query('test.left', 'select from jobs.jobs', [], { retry: true })
      return rows.length === 0
    })
    expect(called).toEqual(expect.arrayContaining(['before', 'after']))
    await jobs.close()
    await own.close()
    await server.close()
    await rm(folder, { recursive: true })
  })

  test('a process that was killed in the middle: another one takes over', async () => {
    const at = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href)
    const child = runChild(`
      const { startJobs } = await import(${at('jobs.ts')})
      const { connectPostgres } = await import(${at('postgres.ts')})
      const { createLog } = await import(${at('telemetry.ts')})
      const log = createLog({ level: 'silent', format: 'json' })
      const url = ${JSON.stringify(home.url)}
      const database = connectPostgres({ url, log, poolSize: 2 })
      const handlers = { walk: async () => { console.log('begun'); await new Promise(() => {}) } }
      const jobs = await startJobs({ url, database, log, handlers, concurrency: 1 })
      await jobs.schedule('walk', 'payload', { key: 'w-1' })`)
    expect(await child.firstLine).toBe('begun')
    const called: unknown[] = []
    await open({ walk: async (payload) => void called.push(payload) })
    await child.kill()
    await noneLeft()
    expect(called).toEqual(['payload'])
    expect(lines.map(({ msg }) => msg)).toContain('jobs of a process that is gone are taken over')
  })
})
