import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../testing/eventually.ts'
import { createTestDatabase } from '../testing/servers/database.ts'
import { connectPostgres, type Database } from './postgres.ts'
import { createTaskQueueWorld } from './task-queue.testing.ts'
import { startTaskQueue, type TaskQueue } from './task-queue.ts'

let world: Awaited<ReturnType<typeof createTaskQueueWorld>>

beforeAll(async () => {
  world = await createTaskQueueWorld()
})
afterEach(() => world.clean())
afterAll(() => world.drop())

const soon = (ms: number) => new Date(Date.now() + ms)

test('a task is run with its payload, not before its time, and is gone then', async () => {
  const called: { payload: unknown; at: number }[] = []
  const queue = await world.open({ remind: async (payload) => void called.push({ payload, at: Date.now() }) })
  const runAt = soon(400)
  await queue.schedule('remind', { rentalId: 'r-1', amounts: ['1'] }, { key: 'r-1', runAt })
  await world.noneLeft()
  expect(called.map(({ payload }) => payload)).toEqual([{ rentalId: 'r-1', amounts: ['1'] }])
  expect(called[0]?.at).toBeGreaterThanOrEqual(runAt.getTime())
})

test('two workers run each of 100 tasks once', async () => {
  const called: unknown[] = []
  const handlers = { count: async (payload: unknown) => void called.push(payload) }
  const [one] = [await world.open(handlers), await world.open(handlers)]
  const numbers = Array.from({ length: 100 }, (_, number) => number)
  await Promise.all(numbers.map((number) => one.schedule('count', number, { key: `n-${number}` })))
  await world.noneLeft()
  expect(called.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers)
})

test('processes that start at once on an empty database do not disturb each other', async () => {
  const fresh = await createTestDatabase()
  const own = connectPostgres({ url: fresh.url, log: world.log, poolSize: 4 })
  const start = () => startTaskQueue({ url: fresh.url, database: own, log: world.log, handlers: {}, concurrency: 1 })
  const all = await Promise.all([start(), start(), start()])
  await Promise.all(all.map((queue) => queue.close()))
  await own.close()
  await fresh.drop()
})

describe('the same key again', () => {
  test('replaces time and payload of what waits', async () => {
    const called: unknown[] = []
    const queue = await world.open({ remind: async (payload) => void called.push(payload) })
    await queue.schedule('remind', 'old', { key: 'r-1', runAt: soon(3_600_000) })
    await queue.schedule('remind', 'new', { key: 'r-1', runAt: soon(50) })
    await world.noneLeft()
    expect(called).toEqual(['new'])
  })

  test.each([undefined, 50])('from within its own handler is called after it, in %s ms', async (ms) => {
    const called: unknown[] = []
    const queue: TaskQueue = await world.open({
      step: async (payload) => {
        called.push(payload)
        const runAt = ms === undefined ? undefined : soon(ms)
        if (payload !== 3) await queue.schedule('step', Number(payload) + 1, { key: 'chain', runAt })
      },
    })
    await queue.schedule('step', 1, { key: 'chain' })
    await world.noneLeft()
    expect(called).toEqual([1, 2, 3])
  })

  test('cancelled, is not called', async () => {
    const called: unknown[] = []
    const queue = await world.open({ remind: async (payload) => void called.push(payload) })
    await queue.schedule('remind', 'cancelled', { key: 'a', runAt: soon(300) })
    await queue.schedule('remind', 'kept', { key: 'b', runAt: soon(400) })
    await queue.cancel('a')
    await queue.cancel('never scheduled')
    await world.noneLeft()
    expect(called).toEqual(['kept'])
  })
})

test('what is due later, and what is cancelled, wakes no worker and is one statement each', async () => {
  const labels: string[] = []
  const database: Database = {
    ...world.database,
    query: (label, ...asked) => {
      if (/^jobs[.](schedule|cancel)/.test(label)) labels.push(label)
      return world.database.query(label, ...asked)
    },
  }
  await world.open({ remind: async () => undefined })
  const queue = await startTaskQueue({ ...world, database, handlers: {}, concurrency: 1 })
  const heard: string[] = []
  const listener = await world.database.listen('jobs:insert', (payload) => {
    if (payload !== '') heard.push(payload)
  })
  const later = (key: string, payload: unknown) => queue.schedule('remind', payload, { key, runAt: soon(3_600_000) })
  await Promise.all([later('a', 1), later('b', 1), later('b', 2), later('c', 1)])
  await later('c', 3)
  expect((await tasks()).map(({ key, payload }) => [key, payload])).toEqual([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ])
  await Promise.all([queue.cancel('a'), queue.cancel('b'), queue.cancel('never scheduled')])
  expect((await tasks()).map(({ key }) => key)).toEqual(['c'])
  expect(labels).toEqual(['jobs.scheduleLater', 'jobs.scheduleLater', 'jobs.cancel'])
  // Notifications come in the order of their commits.
  await queue.schedule('remind', 4, { key: 'due' })
  await eventually('the one that is due to be announced', () => heard.length > 0)
  expect(heard).toEqual([expect.stringContaining('"count":1')])
  await listener.close()
  await queue.close()
})

test('a task that waits to be tried again is as new when it is replaced, and so is one that is parked', async () => {
  const queue = await world.open({ remind: async () => undefined })
  const later = (payload: unknown) => queue.schedule('remind', payload, { key: 'a', runAt: soon(3_600_000) })
  await later(1)
  await world.database.query('test.fail', `update jobs._private_jobs set attempts = 3, last_error = 'boom'`)
  await later(2)
  expect(await tasks()).toEqual([{ key: 'a', payload: 2, attempts: 0, last_error: null, revision: 1 }])
  await world.database.query('test.park', 'update jobs._private_jobs set attempts = max_attempts')
  await later(3)
  expect((await tasks()).filter(({ key }) => key !== null)).toMatchObject([{ key: 'a', payload: 3, attempts: 0 }])
})

const tasks = () =>
  world.database.query<{ readonly key: string | null; readonly payload: unknown }>(
    'test.tasks',
    'select key, payload, attempts, last_error, revision from jobs._private_jobs order by key',
  )

test('a task whose handler throws runs again later, and that is logged', async () => {
  let calls = 0
  const queue = await world.open({
    shaky: async () => {
      calls += 1
      if (calls === 1) throw new Error('boom')
    },
  })
  await queue.schedule('shaky', {}, { key: 's-1' })
  await world.noneLeft()
  expect(calls).toBe(2)
  expect(world.lines.filter(({ level }) => level === 'warn')).toMatchObject([
    { part: 'task queue', task: 'shaky', key: 's-1', attempt: 1, err: { message: 'boom' } },
  ])
})

test('a process without handlers may schedule, and other processes run the tasks, also later ones', async () => {
  const gateway = await world.open({})
  await gateway.schedule('remind', 1, { key: 'a' })
  await gateway.close()
  expect(await world.left()).toEqual(['a'])
  await world.open({ other: async () => undefined })
  const called: unknown[] = []
  await world.open({ remind: async (payload) => void called.push(payload) })
  await world.noneLeft()
  expect(called).toEqual([1])
})

test('closing waits for the running handler, which is not called again', async () => {
  const gate = Promise.withResolvers<void>()
  const order: string[] = []
  const queue = await world.open({
    long: async () => {
      order.push('begun')
      await gate.promise
      order.push('ended')
    },
  })
  await queue.schedule('long', {}, { key: 'l-1' })
  await eventually('the handler to run', () => order.length === 1)
  const closed = queue.close().then(() => order.push('closed'))
  gate.resolve()
  await closed
  expect(order).toEqual(['begun', 'ended', 'closed'])
  expect(await world.left()).toEqual([])
})

test('no signal handlers are installed', async () => {
  const before = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')
  await world.open({ remind: async () => undefined })
  expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')).toBe(before)
})
