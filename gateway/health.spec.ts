import { describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import type { ProjectionsStatus } from '../projections/engine/status.ts'
import { createHealth } from './health.ts'

const model = {
  name: 'listings',
  version: 1,
  state: 'waiting',
  served: undefined,
  building: undefined,
  failure: { code: 'EVENT_NOT_FOLDED', message: 'the stream listing-secret' },
  parked: { streams: 0, first: [] },
}

const world = (ageMs?: number, state = 'waiting') => {
  let full = false
  const asked = { database: 0, models: 0, tasks: 0 }
  const health = createHealth({
    projections: {
      status: async () => {
        asked.models += 1
        return { head: 'pg-1', projections: [{ ...model, state }] } as unknown as ProjectionsStatus
      },
    },
    parkedTasks: {
      counts: async () => {
        asked.tasks += 1
        return { expire: 2 }
      },
    },
    isUp: async () => {
      asked.database += 1
      return true
    },
    isFull: () => full,
    roles: ['gateway'],
    now: () => '2026-01-01T00:00:00.000Z',
    ...(ageMs !== undefined && { ageMs }),
  })
  const fill = () => {
    full = true
  }
  return { asked, health, fill }
}

test('a thousand requests ask the database once', async () => {
  const { asked, health } = world()
  await Promise.all(Array.from({ length: 500 }, () => [health.ready(), health.status(false)]).flat())
  for (let count = 0; count < 500; count++) await health.ready()
  expect(asked).toEqual({ database: 1, models: 1, tasks: 1 })
})

test('an answer is read again when it is too old', async () => {
  const { asked, health } = world(0)
  await health.ready()
  await health.status(false)
  expect(asked.models).toBe(2)
})

test('texts of errors are for operators', async () => {
  const { health } = world()
  const [shown, hidden] = [JSON.stringify(await health.status(true)), JSON.stringify(await health.status(false))]
  expect(shown).toContain('listing-secret')
  expect(hidden).not.toContain('listing-secret')
  expect(hidden).toContain('EVENT_NOT_FOLDED')
})

test('a log that was replaced is told apart from a database that is down', async () => {
  const healthOf = (error: Error) =>
    createHealth({
      projections: { status: () => Promise.reject(error) },
      parkedTasks: { counts: async () => ({}) },
      isUp: async () => true,
      roles: ['gateway'],
      now: () => '2026-01-01T00:00:00.000Z',
    })
  expect(await healthOf(new Failure('LOG_REPLACED')).ready()).toEqual({
    ready: false,
    parts: { database: 'up', log: 'LOG_REPLACED', projections: 'unknown' },
  })
  expect(await healthOf(new Failure('DATABASE_UNAVAILABLE')).ready()).toEqual({
    ready: false,
    parts: { database: 'down', projections: 'unknown' },
  })
})

test('a database whose disk is full is up, and the platform is not ready', async () => {
  const { health, fill } = world(0, 'running')
  expect(await health.ready()).toMatchObject({ ready: true, parts: { database: 'up' } })
  fill()
  expect(await health.ready()).toMatchObject({ ready: false, parts: { database: 'DATABASE_FULL' } })
})

test('a database that has stopped answering keeps nobody waiting, and is no second time asked meanwhile', async () => {
  let asked = 0
  const never = () => {
    asked += 1
    return new Promise<never>(() => undefined)
  }
  const parts = { database: 'no answer', projections: 'unknown' }
  for (const isUp of [never, async () => true]) {
    const health = createHealth({
      projections: { status: never },
      parkedTasks: { counts: never },
      isUp,
      roles: ['gateway'],
      now: () => '2026-01-01T00:00:00.000Z',
      waitMs: 20,
    })
    expect(await health.ready()).toEqual({ ready: false, parts })
    expect(await health.status(true)).toMatchObject({ ready: false, parts, head: null, parkedTasks: null })
  }
  expect(asked).toBe(2)
})

describe('a log on a server of its own', () => {
  const never = () => new Promise<never>(() => undefined)
  const healthOf = (isUp: () => Promise<boolean>, status: () => Promise<ProjectionsStatus>) =>
    createHealth({
      projections: { status },
      parkedTasks: { counts: async () => ({}) },
      isUp,
      hasLogServer: true,
      roles: ['gateway'],
      now: () => '2026-01-01T00:00:00.000Z',
      waitMs: 20,
    })
  const unavailable = () => Promise.reject(new Failure('DATABASE_UNAVAILABLE'))
  const running = async () => ({ head: 'esdb-1', projections: [] }) as unknown as ProjectionsStatus
  const [up, down] = [async () => true, async () => false]

  test.each([
    ['both answer', up, running, true, { database: 'up', log: 'up', projections: 'up' }],
    ['its server is away', up, unavailable, false, { database: 'up', log: 'down', projections: 'unknown' }],
    ['its server is silent', up, never, false, { database: 'up', log: 'no answer', projections: 'unknown' }],
    ['the database is away', down, running, false, { database: 'down', log: 'unknown', projections: 'unknown' }],
    [
      'the database is silent',
      never,
      running,
      false,
      { database: 'no answer', log: 'unknown', projections: 'unknown' },
    ],
  ])('is a part of its own where %s', async (_, isUp, status, ready, parts) => {
    expect(await healthOf(isUp, status).ready()).toEqual({ ready, parts })
  })

  test('is not what is silent once it was read', async () => {
    const health = createHealth({
      projections: { status: running },
      parkedTasks: { counts: never },
      isUp: up,
      hasLogServer: true,
      roles: ['gateway'],
      now: () => '2026-01-01T00:00:00.000Z',
      waitMs: 20,
    })
    const parts = { database: 'no answer', log: 'unknown', projections: 'unknown' }
    expect(await health.ready()).toEqual({ ready: false, parts })
  })
})
