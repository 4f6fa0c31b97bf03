import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { heartbeatsInMemory } from '../../testing/worlds/heartbeats.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import { heartbeatsContract } from './contract.ts'
import type { Heartbeats } from './port.ts'
import { postgresHeartbeats } from './postgres.ts'

let testDatabase: TestDatabase
let database: Database
let heartbeats: Heartbeats
/** The time of the machine, in seconds after the start. */
let machineSeconds = 0
const time = () => ({ clock: 'a boot', ms: Math.round(machineSeconds * 1000) })
const beat = (seconds: number, by = heartbeats): Promise<void> => {
  machineSeconds = seconds
  return by.beat(at(seconds))
}
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect({ poolSize: 8 })
  await migrateOperations(database)
  heartbeats = postgresHeartbeats(database, { time })
})
afterAll(() => testDatabase.drop())
const clear = () => database.query('spec.clear', 'truncate ops.heartbeats, ops.heartbeat_spans')
beforeEach(clear)

/** Seconds after the start; the tolerance is 30 s. */
const at = (seconds: number) =>
  new Date(Date.parse('2026-01-01T00:00:00.000Z') + Math.round(seconds * 1000)).toISOString()
const start = at(0)
const beats = async (...seconds: number[]) => {
  for (const second of seconds) await beat(second)
}
const acknowledged = (until: number, from = 0) => heartbeats.acknowledged('r', at(from), at(until))

heartbeatsContract(async (machine) => {
  await clear()
  return postgresHeartbeats(database, { time: machine })
})

describe('a rental', () => {
  test('counts the time up to the last beat, and not beyond', async () => {
    await beats(0, 5, 10, 15)
    expect(await acknowledged(15)).toBe(15n)
    expect(await acknowledged(12)).toBe(12n)
    expect(await acknowledged(22)).toBe(15n)
  })

  test('counts from its start, wherever that lies between two beats', async () => {
    await beats(0, 20, 40)
    for (const from of [0, 7, 20, 33]) expect(await acknowledged(40, from)).toBe(40n - BigInt(from))
    expect(await acknowledged(60, 50)).toBe(0n)
  })

  test('does not count a silence longer than the tolerance, whichever part of it was rented', async () => {
    await beats(0, 5, 35, 65.001, 70.001)
    expect(await acknowledged(35)).toBe(35n)
    expect(await acknowledged(36)).toBe(35n)
    expect(await acknowledged(70.001)).toBe(40n)
    expect(await acknowledged(50, 36)).toBe(0n)
    expect(await acknowledged(66.001, 40)).toBe(1n)
  })

  test('counts nothing before the first beat', async () => {
    expect(await acknowledged(12)).toBe(0n)
    await beats(5)
    expect(await acknowledged(12)).toBe(0n)
    await beats(10)
    expect(await acknowledged(12)).toBe(5n)
  })

  test('counts whole seconds, rounded down once and not at every beat', async () => {
    await beats(...Array.from({ length: 11 }, (_, index) => index * 1.7))
    expect(await acknowledged(17)).toBe(17n)
    expect(await acknowledged(16.999)).toBe(16n)
  })

  test('counts nothing for a beat that comes late or again', async () => {
    await beats(0, 10, 5, 10, 7)
    expect(await acknowledged(10)).toBe(10n)
    await beats(50, 45, 30, 50)
    expect(await acknowledged(50)).toBe(10n)
  })

  test('from before there were spans keeps what was acknowledged, and goes on from its last beat', async () => {
    const row = 'insert into ops.heartbeats (rental, acknowledged_ms, last_beat_at) values ($1, $2, $3)'
    await database.query('spec.before', row, ['r', 100_500, at(120)])
    await beats(110, 120, 130.5)
    expect(await acknowledged(200)).toBe(111n)
    expect(await heartbeats.acknowledged('s', at(115), at(200))).toBe(15n)
  })
})

test('the version before is taken over: its last beat begins the first span', async () => {
  const other = await createTestDatabase()
  const before = other.connect({ poolSize: 2 })
  for (const sql of [
    'create schema ops',
    'create table ops.version (version int not null)',
    'insert into ops.version values (3)',
    'create table ops.consumers (name text primary key, position text not null)',
    'create table ops.cursors (name text primary key, block numeric(39, 0) not null)',
    'create table ops.heartbeats (rental text primary key, acknowledged_ms bigint not null, last_beat_at timestamptz not null)',
    `insert into ops.heartbeats values ('r', 100000, '${at(120)}'), ('s', 5000, '${at(119)}')`,
  ])
    await before.query('spec.before', sql)
  await migrateOperations(before)
  const after = postgresHeartbeats(before, { time })
  await beat(125, after)
  expect(await after.acknowledged('r', start, at(200))).toBe(105n)
  await other.drop()
})

test('what was acknowledged is final when a beat comes after it, or the silence is too long', async () => {
  expect(await heartbeats.isFinal(at(5), at(5))).toBe(true)
  await beats(0, 10)
  expect(await heartbeats.isFinal(at(10), at(10))).toBe(true)
  expect(await heartbeats.isFinal(at(11), at(11))).toBe(false)
  expect(await heartbeats.isFinal(at(11), at(40))).toBe(false)
  expect(await heartbeats.isFinal(at(11), at(40.001))).toBe(true)
})

test('a beat is one statement and one row, however many rentals run', async () => {
  const labels: string[] = []
  const query: typeof database.query = async (label, sql, values, options) => {
    labels.push(label)
    return database.query(label, sql, values, options)
  }
  const counted = postgresHeartbeats({ query }, { time })
  for (let second = 0; second < 100; second++) await beat(second, counted)
  expect(labels).toEqual(Array(100).fill('heartbeats.beat'))
  expect(await database.query('spec.rows', 'select since, until from ops.heartbeat_spans')).toEqual([
    { since: start, until: at(99) },
  ])
})

test('beats of several schedulers at once count nothing twice', async () => {
  await beats(0)
  for (let second = 5; second <= 200; second += second % 50 === 0 ? 31 : 5)
    await Promise.all(Array.from({ length: 6 }, (_, index) => beat(second + index / 100)))
  const inMemory = heartbeatsInMemory()
  await inMemory.beat(start)
  for (let second = 5; second <= 200; second += second % 50 === 0 ? 31 : 5)
    for (let index = 0; index < 6; index++) await inMemory.beat(at(second + index / 100))
  // A first beat after a silence may win before an earlier one: the difference is a part of a second for each silence.
  const seconds = await acknowledged(300)
  const exact = await inMemory.acknowledged('r', start, at(300))
  expect(exact - seconds).toBeGreaterThanOrEqual(0n)
  expect(exact - seconds).toBeLessThanOrEqual(1n)
})

test('spans of several machines that overlap count once, also where one of them is ahead', async () => {
  const machines = ['a', 'b'].map((clock, ahead) => {
    const own = postgresHeartbeats(database, { time: () => ({ clock, ms: Math.round(machineSeconds * 1000) }) })
    return (seconds: number) => {
      machineSeconds = seconds
      return own.beat(at(seconds + ahead * 10))
    }
  })
  for (let second = 0; second <= 60; second++) for (const of of machines) await of(second)
  expect(await acknowledged(70)).toBe(70n)
  const [first] = machines
  for (let second = 61; second <= 90; second++) await first?.(second)
  expect(await acknowledged(90)).toBe(90n)
})

test('spans from before they had a clock count, and the next beat goes on from them', async () => {
  const insert = 'insert into ops.heartbeat_spans (since, until) values ($1, $2)'
  await database.query('spec.span', insert, [at(0), at(20)])
  await database.query('spec.span', insert, [at(60), at(80)])
  await beats(85, 90)
  expect(await acknowledged(200)).toBe(50n)
})

test('a clock that was set is one warning with its size; a late beat, a silence and a restart are none', async () => {
  const warnings: unknown[] = []
  let [clock, ahead] = ['a boot', 0]
  const log = { warn: (details: { seconds: number }) => warnings.push(details.seconds) }
  const logged = postgresHeartbeats(database, {
    time: () => ({ clock, ms: Math.round(machineSeconds * 1000) }),
    log: log as unknown as Pick<Log, 'warn'>,
  })
  const beatAt = async (...seconds: number[]) => {
    for (const second of seconds) {
      machineSeconds = second
      await logged.beat(at(second + ahead))
    }
  }
  await beatAt(0, 1, 2, 1, 2.5, 100, 101)
  clock = 'another boot'
  await beatAt(110, 111)
  expect(warnings).toEqual([])
  ahead = 7200
  await beatAt(112, 113)
  ahead = 0
  await beatAt(114, 115)
  expect(warnings).toEqual([7200, -7200])
  ahead = -100
  clock = 'a third boot'
  await beatAt(116, 117)
  expect(warnings).toEqual([7200, -7200, -99])
})

test('what is acknowledged is the sum of all silences within the tolerance, exact to the millisecond', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 60_000 }), fc.constantFrom(30_000, 30_001)), { maxLength: 10 }),
      fc.array(fc.tuple(fc.integer({ min: -5_000, max: 200_000 }), fc.integer({ min: 0, max: 200_000 })), {
        minLength: 1,
        maxLength: 5,
      }),
      async (silencesMs, leases) => {
        await clear()
        const inMemory = heartbeatsInMemory()
        let nowMs = 0
        for (const silenceMs of [0, ...silencesMs]) {
          nowMs += silenceMs
          await beat(nowMs / 1000)
          await inMemory.beat(at(nowMs / 1000))
        }
        for (const [fromMs, lengthMs] of leases) {
          const lease = ['r', at(fromMs / 1000), at((fromMs + lengthMs) / 1000)] as const
          expect(await heartbeats.acknowledged(...lease)).toBe(await inMemory.acknowledged(...lease))
          expect(await heartbeats.isFinal(lease[2], at(nowMs / 1000))).toBe(
            await inMemory.isFinal(lease[2], at(nowMs / 1000)),
          )
        }
      },
    ),
    { numRuns: 60 },
  )
})
