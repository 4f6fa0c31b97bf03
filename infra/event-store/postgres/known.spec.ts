import { expect, test } from '@jest/globals'
import type { Query } from '../../postgres.ts'
import { codeThrownBy } from '../contract.ts'
import type { Position } from '../port.ts'
import { createKnownInPostgres } from './known.ts'

// The programs of PostgreSQL that are here cannot make a standby: its answers are played.
test('a standby that is behind is no finding, and the primary that lost the event is one', async () => {
  const answers = { isStandby: true, isThere: false }
  const query = (async () => [answers]) as unknown as Query
  const known = createKnownInPostgres({ query, storeId: () => 'a', pauseMs: 1 })
  known.add({ position: 'pg-a-00000000000000000007' as Position, id: crypto.randomUUID(), stream: 's', revision: 0n })
  expect(await codeThrownBy(known.look)).toBe('DATABASE_UNAVAILABLE')
  answers.isThere = true
  await known.look()
  Object.assign(answers, { isStandby: false, isThere: false })
  expect(await codeThrownBy(known.look)).toBe('LOG_REPLACED')
})

test('a standby that lacks the schema of the log is no finding either, and a primary is one', async () => {
  const answer = { isStandby: true, isThere: false }
  const query = (async (_label: string, text: string) => {
    if (/from log\./.test(text)) throw Object.assign(new Error('schema "log" does not exist'), { code: '3F000' })
    return [answer]
  }) as unknown as Query
  const known = createKnownInPostgres({ query, storeId: () => 'a', pauseMs: 1 })
  expect(await codeThrownBy(known.look)).toBe('DATABASE_UNAVAILABLE')
  answer.isStandby = false
  expect(await codeThrownBy(known.look)).toBe('LOG_REPLACED')
})

test('an event of another engine is not in the database', async () => {
  const query = (() => Promise.reject(new Error('nothing is asked'))) as unknown as Query
  const known = createKnownInPostgres({ query, storeId: () => 'a', pauseMs: 1 })
  const position = `esdb-a-${'0'.repeat(19)}7-${'0'.repeat(19)}7` as Position
  known.add({ position, id: crypto.randomUUID(), stream: 's', revision: 0n })
  expect(await codeThrownBy(known.look)).toBe('LOG_REPLACED')
})
