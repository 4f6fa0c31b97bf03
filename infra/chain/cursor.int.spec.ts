import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import { postgresChainCursor } from './cursor.ts'
import { postgresRescans, requestRescan, rescanProgress } from './rescans.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect()
  await migrateOperations(database)
})
afterAll(() => testDatabase.drop())

const at = (block: bigint, hash: `0x${string}` = `0x${block.toString(16)}`, chain = 'a chain') => ({
  block,
  hash,
  chain,
})

test('a cursor begins undefined, and never goes back', async () => {
  const cursor = postgresChainCursor(database, 'one')
  expect(await cursor.load()).toBeUndefined()
  await cursor.save(at(0n))
  expect(await cursor.load()).toEqual(at(0n))
  await cursor.save(at(10n))
  await cursor.save(at(9n))
  await cursor.save(at(10n, '0xother'))
  expect(await cursor.load()).toEqual(at(10n))
})

test('of many saves at once the highest counts, with its hash', async () => {
  const cursor = postgresChainCursor(database, 'many')
  await Promise.all(Array.from({ length: 20 }, (_, index) => cursor.save(at(BigInt((index * 7) % 20)))))
  expect(await cursor.load()).toEqual(at(19n))
})

test('a cursor of before has a block alone, and gets the hash of that block', async () => {
  const cursor = postgresChainCursor(database, 'older')
  await database.query('spec.older', `insert into ops.cursors (name, block) values ('older', 7)`)
  expect(await cursor.load()).toEqual({ block: 7n, hash: undefined, chain: undefined })
  await cursor.save(at(6n))
  await cursor.save(at(7n))
  expect(await cursor.load()).toEqual(at(7n))
})

test('a cursor survives a restart, and belongs to its own contract alone', async () => {
  await postgresChainCursor(database, 'kept').save(at(5n))
  const later = testDatabase.connect()
  try {
    expect(await postgresChainCursor(later, 'kept').load()).toEqual(at(5n))
    expect(await postgresChainCursor(later, 'another').load()).toBeUndefined()
  } finally {
    await later.close()
  }
})

test('a height beyond 64 bits is stored exactly', async () => {
  const cursor = postgresChainCursor(database, 'high')
  const height = 2n ** 80n + 1n
  await cursor.save(at(height))
  await cursor.save(at(height - 1n))
  expect(await cursor.load()).toEqual(at(height))
})

test('custody is kept beside the cursor, that of the highest block', async () => {
  const cursor = postgresChainCursor(database, 'custody')
  await cursor.save(at(5n))
  expect(await cursor.loadCustody()).toBeUndefined()
  const report = { block: 5n, contract: 2n ** 255n, ledger: 1n, checkedAt: '2026-01-01T00:00:00.000Z' }
  await cursor.saveCustody(report)
  await cursor.saveCustody({ ...report, block: 4n, ledger: 9n })
  expect(await cursor.loadCustody()).toEqual(report)
})

test('a rescan is worked through from its first block, and stays as a record', async () => {
  const rescans = postgresRescans(database, 'scanned')
  expect(await rescans.nextOpen()).toBeUndefined()
  const id = await requestRescan(database, { cursorName: 'scanned', by: 'spec', from: 3n, to: 9n })
  const later = await requestRescan(database, { cursorName: 'scanned', by: 'spec', from: 0n, to: 0n })
  expect(await postgresRescans(database, 'another').nextOpen()).toBeUndefined()
  expect(await rescans.nextOpen()).toEqual({ id, from: 3n, to: 9n, next: 3n, recovered: 0n })
  await rescans.report({ id, from: 3n, to: 9n, next: 7n, recovered: 1n })
  await rescans.report({ id, from: 3n, to: 9n, next: 5n, recovered: 0n })
  expect(await rescans.nextOpen()).toEqual({ id, from: 3n, to: 9n, next: 7n, recovered: 1n })
  expect(await rescanProgress(database, id)).toEqual({ next: 7n, recovered: 1n, done: false })
  await rescans.report({ id, from: 3n, to: 9n, next: 10n, recovered: 2n })
  expect(await rescanProgress(database, id)).toEqual({ next: 10n, recovered: 2n, done: true })
  expect((await rescans.nextOpen())?.id).toBe(later)
})
