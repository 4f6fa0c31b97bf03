import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import { createSpecDatabase, type SpecDatabase } from '../infra/event-store/spec-database.ts'
import { allProjections } from '../projections/all.ts'
import { foldStream } from '../projections/projection.ts'
import { fromLine, linesOf, loadGoldenLog, toLine } from './golden-log.ts'

let own: SpecDatabase
beforeEach(async () => {
  own = await createSpecDatabase()
})
afterEach(() => own.drop())

test('the golden log loads into PostgreSQL as it stands, once, and can be read from there', async () => {
  const store = await openPostgresEventStore({ database: own.openDoor() })
  await loadGoldenLog(store)
  expect(await loadGoldenLog(store)).toBe(await store.head())
  const events = await Array.fromAsync(store.readAll())
  expect(events.map((event) => fromLine(toLine(event)))).toEqual(linesOf('events.jsonl').map(fromLine))
  for (const projection of allProjections) expect(foldStream(projection, events).size).toBeGreaterThan(0)
  await store.close()
})
