import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import { postgresChainCursor } from './cursor.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect()
  await migrateOperations(database)
})
afterAll(() => testDatabase.drop())

test('a cursor begins undefined, and never goes back', async () => {
  const cursor = postgresChainCursor(database, 'one')
  expect(await cursor.load()).toBeUndefined()
  await cursor.save(0n)
  expect(await cursor.load()).toBe(0n)
  await cursor.save(10n)
  await cursor.save(9n)
  expect(await cursor.load()).toBe(10n)
})

test('of many saves at once the highest counts', async () => {
  const cursor = postgresChainCursor(database, 'many')
  await Promise.all(Array.from({ length: 20 }, (_, index) => cursor.save(BigInt((index * 7) % 20))))
  expect(await cursor.load()).toBe(19n)
})

test('a cursor survives a restart, and belongs to its own contract alone', async () => {
  await postgresChainCursor(database, 'kept').save(5n)
  const later = testDatabase.connect()
  try {
    expect(await postgresChainCursor(later, 'kept').load()).toBe(5n)
    expect(await postgresChainCursor(later, 'another').load()).toBeUndefined()
  } finally {
    await later.close()
  }
})

test('a height beyond 64 bits is stored exactly', async () => {
  const cursor = postgresChainCursor(database, 'high')
  const height = 2n ** 80n + 1n
  await cursor.save(height)
  await cursor.save(height - 1n)
  expect(await cursor.load()).toBe(height)
})
