import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../testing/eventually.ts'
import { createTestDatabase } from '../testing/servers/database.ts'
import { connectPostgres } from './postgres.ts'
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

  test('from within its own handler is called after it', async () => {
    const called: unknown[] = []
    const queue: TaskQueue = await world.open({
      step: async (payload) => {
        called.push(payload)
        if (payload !== 3) await queue.schedule('step', Number(payload) + 1, { key: 'chain' })
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
