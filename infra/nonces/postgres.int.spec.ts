import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import type { UsedNonces } from './port.ts'
import { postgresUsedNonces } from './postgres.ts'

let testDatabase: TestDatabase
let database: Database
let nonces: UsedNonces
beforeEach(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect({ poolSize: 8 })
  await migrateOperations(database)
  nonces = postgresUsedNonces(database)
})
afterEach(() => testDatabase.drop())

const later = new Date(Date.now() + 300_000).toISOString()
const longAgo = '2026-01-01T00:00:00.000Z'
const known = async () => {
  const rows = await database.query<{ nonce: string }>('spec.known', 'select nonce from ops.used_nonces order by nonce')
  return rows.map(({ nonce }) => nonce)
}

describe('a nonce', () => {
  test('is used once, also by two processes that use it many times at the same time', async () => {
    const other = postgresUsedNonces(testDatabase.connect({ poolSize: 8 }))
    const uses = await Promise.all(
      Array.from({ length: 40 }, (_, index) => (index % 2 ? nonces : other).use('nonce', later)),
    )
    expect(uses.filter((first) => first)).toHaveLength(1)
    expect(await nonces.use('nonce', later)).toBe(false)
    expect(await nonces.use('another', later)).toBe(true)
  })

  test('is forgotten some time after it has expired, a few with each use', async () => {
    await database.query(
      'spec.fill',
      `insert into ops.used_nonces select 'old ' || lpad(n::text, 2, '0'), $1 from generate_series(1, 25) n`,
      [longAgo],
    )
    const left: number[] = []
    for (const nonce of ['a', 'b', 'c', 'd']) {
      await nonces.use(nonce, later)
      left.push((await known()).filter((name) => name.startsWith('old')).length)
    }
    expect([left, await known()]).toEqual([
      [15, 5, 0, 0],
      ['a', 'b', 'c', 'd'],
    ])
  })

  test('is not forgotten just after it has expired: the clocks of two gateways may differ', async () => {
    const justNow = new Date(Date.now() - 60_000).toISOString()
    await nonces.use('nonce', justNow)
    await nonces.use('another', later)
    expect(await nonces.use('nonce', justNow)).toBe(false)
  })
})
