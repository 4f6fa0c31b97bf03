// What must not lose a task: connections and servers that break, processes that are killed.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { type ErrorCode, Failure } from '../../domain/errors.ts'
import { runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { endOtherConnections } from '../../testing/servers/database.ts'
import { startEmbeddedPostgres } from '../embedded-postgres.ts'
import { connectPostgres } from '../postgres.ts'
import { createTaskQueueWorld } from '../task-queue.testing.ts'
import { startTaskQueue } from '../task-queue.ts'

let world: Awaited<ReturnType<typeof createTaskQueueWorld>>

beforeAll(async () => {
  world = await createTaskQueueWorld()
})
afterEach(() => world.clean())
afterAll(() => world.drop())

const cutOthers = () => world.ask(endOtherConnections)
const here = 'from pg_stat_activity where datname = current_database()'
const deletesWait = `${here} and wait_event_type = 'Lock' and query like '%delete%_private_jobs%'`
const waitingDeletes = () => world.ask(`select ${deletesWait}`)
const cutWaitingDeletes = () => world.ask(`select pg_terminate_backend(pid) ${deletesWait}`)
const couldNotStore = ({ msg }: Record<string, unknown>) => String(msg).startsWith('Failed to complete jobs')
const listening = () => world.ask(`select ${here} and query like '%LISTEN "jobs:insert"%' and pid <> pg_backend_pid()`)

test('connections that break while handlers run and while none does', async () => {
  const called: unknown[] = []
  const gate = Promise.withResolvers<void>()
  const queue = await world.open({
    slow: async (payload) => {
      called.push(payload)
      await gate.promise
    },
    quick: async (payload) => void called.push(payload),
  })
  await queue.schedule('slow', 'slow', { key: 'slow' })
  await eventually('the slow one to run', () => called.includes('slow'))
  await cutOthers()
  gate.resolve()
  await cutOthers()
  await queue.schedule('quick', 'quick', { key: 'quick' })
  await world.noneLeft()
  expect(called).toContain('quick')
})

test('a task that was replaced or cancelled while it ran, and fails then, leaves no row', async () => {
  const begun: unknown[] = []
  const gate = Promise.withResolvers<void>()
  const queue = await world.open({
    slow: async (payload) => {
      begun.push(payload)
      await gate.promise
      if (payload !== 'second') throw new Error('too late')
    },
  })
  await queue.schedule('slow', 'replaced', { key: 'a' })
  await queue.schedule('slow', 'cancelled', { key: 'b' })
  await eventually('both to run', () => begun.length === 2)
  await queue.schedule('slow', 'second', { key: 'a' })
  await queue.cancel('b')
  gate.resolve()
  await eventually('the second to run', () => begun.includes('second'))
  await eventually('no row to be left', async () => (await world.left()).length === 0, 15_000)
  expect(begun.toSorted()).toEqual(['cancelled', 'replaced', 'second'])
}, 20_000)

test('connections that break at any moment of a start are DATABASE_UNAVAILABLE, never another error', async () => {
  for (let afterMs = 0; afterMs < 120; afterMs += 4) {
    const starting = world.open({ quick: async () => undefined }).then(
      () => undefined,
      (error: unknown) => error,
    )
    await delay(afterMs)
    await cutOthers()
    const error = await starting
    if (error !== undefined) expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    await world.clean()
  }
}, 60_000)

test('the end of a task cannot be stored: it runs again', async () => {
  let calls = 0
  const other = connectPostgres({ url: world.url, log: world.log, poolSize: 1 })
  const queue = await world.open({
    once: async () => {
      calls += 1
      // The row is held, so that the delete of the finished task waits, and its connection is cut in there.
      if (calls > 1) return
      await other.query('test.begin', 'begin')
      await other.query('test.hold', 'select from jobs._private_jobs for update')
    },
  })
  await queue.schedule('once', {}, { key: 'o-1' })
  // The delete must be cut while it waits: let go of the row first, and it would go through.
  await eventually('the delete to wait, and to be cut', async () => (await cutWaitingDeletes()).length > 0)
  await cutOthers()
  await world.noneLeft()
  expect(calls).toBe(2)
  await other.close()
})

test('the ends of two tasks cannot be stored while a third one fails: both run again, and closing ends', async () => {
  const calls: unknown[] = []
  const held = Promise.withResolvers<void>()
  const cut = Promise.withResolvers<void>()
  const other = connectPostgres({ url: world.url, log: world.log, poolSize: 1 })
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
  const queue = await world.open({ note }, 3)
  await Promise.all(['a', 'b', 'fails'].map((name) => queue.schedule('note', name, { key: name })))
  await eventually('both deletes to wait', async () => (await waitingDeletes()).length === 2)
  await cutWaitingDeletes()
  await cutOthers()
  await eventually('both failures to be seen', () => world.lines.filter(couldNotStore).length === 2)
  cut.reject(new Error('boom'))
  await eventually('only the one that fails to be left', async () => (await world.left()).join() === 'fails')
  expect(calls.filter((payload) => payload !== 'fails').toSorted()).toEqual(['a', 'a', 'b', 'b'])
  await queue.close()
  await eventually('its connections to be gone', async () => (await listening()).length === 0)
  await other.close()
}, 30_000)

test('after an outage a task is tried again soon, however often it has failed; with another error it is parked', async () => {
  // Tasks that are due at once begin in any order.
  const tries: Record<string, number> = {}
  const queue = await world.open({
    fail: async (payload) => {
      const code = String(payload) as ErrorCode
      tries[code] = (tries[code] ?? 0) + 1
      if (tries[code] < 3) throw new Failure(code)
    },
  })
  const outages = ['DATABASE_UNAVAILABLE', 'DATABASE_FULL', 'LOG_REPLACED', 'CHAIN_UNAVAILABLE', 'CLUSTER_UNAVAILABLE']
  const runAt = new Date(Date.now() + 3_600_000)
  for (const code of [...outages, 'INTERNAL']) await queue.schedule('fail', code, { key: code, runAt })
  await world.database.query('test.fail', 'update jobs._private_jobs set attempts = max_attempts - 1, run_at = now()')
  await eventually('the others to end', async () => (await world.left()).join() === 'INTERNAL', 40_000)
  expect(tries).toEqual({ ...Object.fromEntries(outages.map((code) => [code, 3])), INTERNAL: 1 })
  expect(await world.database.query('test.parked', 'select attempts, last_error from jobs.jobs')).toMatchObject([
    { attempts: 25, last_error: expect.stringMatching(/^INTERNAL: /) },
  ])
}, 60_000)

test('the tries of an outage make no later pause longer, and an error of the database that is an outage counts as one', async () => {
  const met: string[] = []
  const deadlock = Object.assign(new Error('deadlock detected'), { code: '40P01' })
  const errors = [new Failure('DATABASE_UNAVAILABLE'), new Failure('CONFLICT_UNRESOLVED'), deadlock, new Error('other')]
  const queue = await world.open({
    fail: async () => {
      const error = errors[met.length]
      met.push(error?.message ?? 'none')
      if (error) throw error
    },
  })
  await queue.schedule('fail', 0, { key: 'fail', runAt: new Date(Date.now() + 3_600_000) })
  await world.database.query('test.tries', 'update jobs._private_jobs set attempts = 20, run_at = now()')
  await eventually('the task to end', async () => (await world.left()).length === 0, 80_000)
  expect(met).toHaveLength(errors.length + 1)
}, 100_000)

test('a database server that dies while a handler runs, and comes back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-tasks-'))
  await chmod(folder, 0o755)
  const server = await startEmbeddedPostgres({ folder, log: world.log })
  const own = connectPostgres({ url: server.url, log: world.log, poolSize: 2 })
  const called: unknown[] = []
  const gate = Promise.withResolvers<void>()
  const slow = async (payload: unknown) => {
    called.push(payload)
    await gate.promise
  }
  const queue = await startTaskQueue({
    url: server.url,
    database: own,
    log: world.log,
    handlers: { slow },
    concurrency: 2,
    pollMs: 100,
  })
  await queue.schedule('slow', 'before', { key: 'a' })
  await eventually('the handler to run', () => called.length === 1)
  process.kill(server.pid() ?? 0, 'SIGKILL')
  await eventually('the death to be noticed', () => server.pid() === undefined)
  gate.resolve()
  await own.waitUntilReady(10_000)
  await queue.schedule('slow', 'after', { key: 'b' })
  await eventually('no task to be left', async () => {
    const rows = await own.query('test.left', 'select from jobs.jobs', [], { retry: true })
    return rows.length === 0
  })
  expect(called).toEqual(expect.arrayContaining(['before', 'after']))
  await queue.close()
  await own.close()
  await server.close()
  await rm(folder, { recursive: true })
})

test('a process that was killed in the middle: another one takes over', async () => {
  const at = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href)
  const child = runChild(`
    const { startTaskQueue } = await import(${at('../task-queue.ts')})
    const { connectPostgres } = await import(${at('../postgres.ts')})
    const { createLog } = await import(${at('../telemetry.ts')})
    const log = createLog({ level: 'silent', format: 'json' })
    const url = ${JSON.stringify(world.url)}
    const database = connectPostgres({ url, log, poolSize: 2 })
    const handlers = { walk: async () => { console.log('begun'); await new Promise(() => {}) } }
    const queue = await startTaskQueue({ url, database, log, handlers, concurrency: 1 })
    await queue.schedule('walk', 'payload', { key: 'w-1' })`)
  expect(await child.firstLine).toBe('begun')
  const called: unknown[] = []
  await world.open({ walk: async (payload) => void called.push(payload) })
  await child.kill()
  await world.noneLeft()
  expect(called).toEqual(['payload'])
  expect(world.lines.map(({ msg }) => msg)).toContain('tasks of a process that is gone are given to others')
})
