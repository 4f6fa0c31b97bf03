import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { allProjections } from '../../projections/all.ts'
import { foldStream } from '../../projections/engine/log.testing.ts'
import { createTestDatabase, type TestDatabase } from '../servers/database.ts'
import { fromLine, linesOf, loadGoldenLog, toLine } from './log.ts'

let own: TestDatabase
beforeEach(async () => {
  own = await createTestDatabase()
})
afterEach(() => own.drop())

test('the golden log loads into PostgreSQL as it stands, once, and can be read from there', async () => {
  const database = own.connect({ poolSize: 2 })
  const store = await openPostgresEventStore({ database })
  await loadGoldenLog(store)
  expect(await loadGoldenLog(store)).toBe(await store.head())
  const events = await Array.fromAsync(store.readAll())
  expect(events.map((event) => fromLine(toLine(event)))).toEqual(linesOf('events.jsonl').map(fromLine))
  for (const projection of allProjections) expect(foldStream(projection, events).size).toBeGreaterThan(0)
  await store.close()
})
