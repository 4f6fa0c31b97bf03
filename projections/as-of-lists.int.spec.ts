import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { chart } from '../domain/ledger.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { foldStream } from './engine/log.testing.ts'
import type { PastMoment } from './engine/projection.ts'
import { createHistoryWriter, randomHistory } from './engine/random-history.testing.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import { lastEntryBy, ledgerEntries, listLedgerEntries } from './ledger-entries.ts'
import type { Page } from './page.ts'
import type { RentalStatus } from './rentals.table.ts'
import { rentals } from './rentals.ts'
import { listRentalsAsOf } from './rentals-as-of.ts'

let world: ReadWorld
let writeHistory: ReturnType<typeof createHistoryWriter>

beforeAll(async () => {
  world = await createReadWorld()
  writeHistory = createHistoryWriter(world.store)
  world.start({ projections: [rentals, ledgerEntries] })
})
afterAll(() => world.close())

/** Returns the log as it was at a moment: up to a position, or each stream up to its first later event. */
const prefixOf = (events: readonly StoredEvent[], moment: PastMoment): StoredEvent[] => {
  if ('position' in moment) return events.filter(({ position }) => position <= moment.position)
  const ended = new Set<string>()
  return events.filter(({ stream, metadata }) => {
    if (metadata.time > moment.time) ended.add(stream)
    return !ended.has(stream)
  })
}

/** Resolves to the rows of all pages of a list. Each page must show correctly whether another follows. */
const allOf = async <Row>(sizes: number, list: (after: string | undefined) => Promise<Page<Row>>): Promise<Row[]> => {
  const rows: Row[] = []
  for (let after: string | undefined; ; ) {
    const page = await list(after)
    rows.push(...page.rows)
    if (!page.hasNextPage) return rows
    expect(page.rows).toHaveLength(sizes)
    after = page.endCursor
  }
}

const question = fc.record({
  history: fc.record(randomHistory),
  moments: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
  first: fc.integer({ min: 2, max: 7 }),
})

test('at any moment each list is the one that a projection of the log up to then gives, over all pages and filters', () =>
  fc.assert(
    fc.asyncProperty(question, async ({ history, moments, first }) => {
      const before = await world.store.head()
      await writeHistory(history)
      await world.caughtUp()
      const all = await Array.fromAsync(world.store.readAll())
      const fresh = all.filter(({ position }) => position > before)
      for (const [index, pick] of moments.entries()) {
        const event = fresh[pick % fresh.length]
        if (!event) continue
        const moment = index % 2 === 0 ? { position: event.position } : { time: event.metadata.time }
        const prefix = prefixOf(all, moment)
        const rows = [...foldStream(rentals, prefix).values()].sort((a, b) =>
          cursor([b.requestedAt, b.id]) < cursor([a.requestedAt, a.id]) ? -1 : 1,
        )
        const renter = rows[pick % (rows.length || 1)]?.renter ?? '0xr0'
        for (const filter of filtersOf(renter)) {
          const wanted = rows.filter((row) =>
            Object.entries(filter).every(([name, value]) => row[name as 'id'] === value),
          )
          const list = (after: string | undefined) => listRentalsAsOf(world, moment, { ...filter, first, after })
          expect({ moment, filter, rows: await allOf(first, list) }).toEqual({ moment, filter, rows: wanted })
        }
        const entries = [...foldStream(ledgerEntries, prefix).values()]
        const accounts = [chart.available(renter), chart.held(renter)]
        const until = await lastEntryBy(world.store, renter, moment)
        const found = await allOf(first, (after) =>
          listLedgerEntries(world.read, { user: renter, first, after, until }),
        )
        expect(found).toEqual(
          entries
            .filter(({ debit, credit }) => accounts.includes(debit) || accounts.includes(credit))
            .sort((a, b) => (a.position < b.position ? 1 : -1)),
        )
      }
    }),
    { numRuns: 6, endOnFailure: true },
  ))

test('rows of an older version are not taken for an empty list', async () => {
  const position = await world.store.head()
  expect((await listRentalsAsOf(world, { position }, { first: 1 })).rows).toHaveLength(1)
  await world.database.query('spec.older', 'update read.rentals set requested_position = null, requested_by = null')
  const asked = listRentalsAsOf(world, { position }, { first: 1 })
  await expect(asked).rejects.toMatchObject({ code: 'READ_MODEL_BUILDING', details: { projection: 'rentals' } })
})

const cursor = (key: readonly string[]) => key.join('/')

const statuses: readonly RentalStatus[] = ['requested', 'rejected', 'active', 'ended', 'settled']
const filtersOf = (renter: string) => [
  {},
  { renter },
  { provider: '0xp' },
  ...statuses.flatMap((status) => [{ status }, { renter, status }, { provider: '0xp', status }]),
]
