import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import type { Heartbeats } from './port.ts'
import { postgresHeartbeats } from './postgres.ts'

let testDatabase: TestDatabase
let database: Database
let heartbeats: Heartbeats
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect({ poolSize: 8 })
  await migrateOperations(database)
  heartbeats = postgresHeartbeats(database)
})
afterAll(() => testDatabase.drop())
beforeEach(async () => {
  await database.query('spec.clear', 'truncate ops.heartbeats')
})

/** Seconds after the start; the tolerance is 30 s. */
const at = (seconds: number) => new Date(Date.parse('2026-01-01T00:00:00.000Z') + seconds * 1000).toISOString()
const start = at(0)
const beats = async (...seconds: number[]) => {
  for (const second of seconds) await heartbeats.beat(['r'], at(second))
}
const acknowledged = (second: number) => heartbeats.acknowledged('r', start, at(second))

describe('a rental', () => {
  test('counts its beats, and the time since the last one', async () => {
    await heartbeats.begin('r', start)
    await beats(5, 10, 15)
    expect(await acknowledged(15)).toBe(15n)
    expect(await acknowledged(22)).toBe(22n)
  })

  test('does not count a silence longer than the tolerance, up to its very end', async () => {
    await heartbeats.begin('r', start)
    await beats(5)
    expect(await acknowledged(35)).toBe(35n)
    expect(await acknowledged(35.001)).toBe(5n)
    await beats(35)
    expect(await acknowledged(35)).toBe(35n)
    await beats(65.001)
    expect(await acknowledged(65.001)).toBe(35n)
    await beats(70.001)
    expect(await acknowledged(70.001)).toBe(40n)
  })

  test('that never began counts from its start, as far as the tolerance goes', async () => {
    expect(await acknowledged(12)).toBe(12n)
    expect(await acknowledged(31)).toBe(0n)
    await beats(5)
    expect(await acknowledged(31)).toBe(0n)
  })

  test('begins once', async () => {
    await heartbeats.begin('r', start)
    await beats(5)
    await heartbeats.begin('r', at(4))
    expect(await acknowledged(10)).toBe(10n)
  })

  test('counts whole seconds, rounded down once and not at every beat', async () => {
    await heartbeats.begin('r', start)
    await beats(...Array.from({ length: 10 }, (_, index) => (index + 1) * 1.7))
    expect(await acknowledged(17)).toBe(17n)
    expect(await acknowledged(17.999)).toBe(17n)
    expect(await acknowledged(18)).toBe(18n)
  })

  test('counts nothing for a beat that comes late or again', async () => {
    await heartbeats.begin('r', start)
    await beats(10, 5, 10, 7)
    expect(await acknowledged(10)).toBe(10n)
    await beats(40, 5, 40)
    expect(await acknowledged(40)).toBe(40n)
  })

  test('counts nothing backwards', async () => {
    await heartbeats.begin('r', start)
    await beats(20)
    expect(await acknowledged(15)).toBe(20n)
  })

  test('is forgotten when it is over, and a later beat does not bring it back', async () => {
    await heartbeats.begin('r', start)
    await beats(20)
    await heartbeats.end('r')
    await heartbeats.end('r')
    await beats(25)
    expect(await database.query('spec.rows', 'select * from ops.heartbeats')).toEqual([])
  })

  test('knows nothing of the others', async () => {
    for (const rental of ['r', 's', "o'neil"]) await heartbeats.begin(rental, start)
    await heartbeats.beat(['r', "o'neil", 'unknown'], at(20))
    await heartbeats.beat(['r', "o'neil"], at(45))
    expect(await acknowledged(45)).toBe(45n)
    expect(await heartbeats.acknowledged("o'neil", start, at(45))).toBe(45n)
    expect(await heartbeats.acknowledged('s', start, at(45))).toBe(0n)
  })
})

test('a beat for no rental runs no statement', async () => {
  const silent = postgresHeartbeats({ query: () => Promise.reject(new Error('a statement ran')) })
  await expect(silent.beat([], start)).resolves.toBeUndefined()
})

test('two beats at once count nothing twice', async () => {
  await heartbeats.begin('r', start)
  for (let second = 5; second <= 50; second += 5)
    await Promise.all(Array.from({ length: 6 }, () => heartbeats.beat(['r'], at(second))))
  expect(await acknowledged(50)).toBe(50n)
})

test('two beats for many rentals in different orders do not deadlock', async () => {
  const rentals = Array.from({ length: 200 }, (_, index) => `r${index}`)
  for (const rental of rentals) await heartbeats.begin(rental, start)
  for (let second = 1; second <= 10; second++)
    await Promise.all([rentals, rentals.toReversed(), rentals].map((some) => heartbeats.beat(some, at(second))))
  for (const rental of ['r0', 'r199']) expect(await heartbeats.acknowledged(rental, start, at(10))).toBe(10n)
})

test('what is acknowledged is the sum of all pauses within the tolerance, exact to the millisecond', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 10 }),
      fc.integer({ min: 0, max: 60_000 }),
      async (pausesMs, sinceMs) => {
        await heartbeats.end('r')
        await heartbeats.begin('r', start)
        let nowMs = 0
        for (const pauseMs of pausesMs) {
          nowMs += pauseMs
          await beats(nowMs / 1000)
        }
        const countedMs = [...pausesMs, sinceMs].filter((ms) => ms <= 30_000).reduce((sum, ms) => sum + ms, 0)
        expect(await acknowledged((nowMs + sinceMs) / 1000)).toBe(BigInt(Math.floor(countedMs / 1000)))
      },
    ),
    { numRuns: 50 },
  )
})
