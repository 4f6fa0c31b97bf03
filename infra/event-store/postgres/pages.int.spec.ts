import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { collect, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { EventStore, Filter, StoredEvent } from '../port.ts'
import { type Positions, positionsOf } from '../position.ts'
import { openPostgresEventStore } from '../postgres.ts'
import { createSpecDatabase, type ObservedDatabase, type SpecDatabase } from './database.testing.ts'
import { createKnownInPostgres } from './known.ts'
import { createPages } from './pages.ts'
import { createEventRows } from './rows.ts'
import { useStoreFixture } from './store.testing.ts'

const types = ['Often', 'Seldom', 'Hardly', "a type's \\ name"]
const streams = ['rental-1', 'rental-2', 'a stream with spaces', 'listing-1', `o'brien \\ "ü🦆`]
const eventsInLog = 400
/** So small that a log of a few hundred events has many windows. */
const windows = { first: 30n, min: 5n }

const streamPrefix = fc.constantFrom(undefined, '', 'rental-', 'rental-1', 'a stream ', "o'b", 'nobody', '\ud800')
const filters: fc.Arbitrary<Filter> = fc
  .record({ types: fc.option(fc.subarray([...types, 'Never']), { nil: undefined }), streamPrefix })
  .map(
    ({ types, streamPrefix }) =>
      ({
        ...(types && { types: [...types, ...types] }),
        ...(streamPrefix !== undefined && { streamPrefix }),
      }) as Filter,
  )

describe('pages of a filtered log', () => {
  let specDatabase: SpecDatabase
  let database: ObservedDatabase
  let store: EventStore
  let log: StoredEvent[]
  let positions: Positions

  beforeAll(async () => {
    specDatabase = await createSpecDatabase()
    database = specDatabase.open()
    store = await openPostgresEventStore({ database })
    const [often = '', seldom = '', hardly = '', spaced = ''] = types
    for (let n = 0; n < eventsInLog; n++) {
      const type = n % 97 === 50 ? hardly : n % 31 === 0 ? spaced : n % 11 === 3 ? seldom : often
      await store.append(to(streams[(n * 7) % streams.length] ?? '', 'any', newEvent(type, { n })))
    }
    positions = positionsOf(store.start.slice(0, store.start.lastIndexOf('-')))
    log = await collect(store.readAll())
  })
  afterAll(async () => {
    await store.close()
    await specDatabase.drop()
  })

  const known = (query: ObservedDatabase['query']) =>
    createKnownInPostgres({ query, storeId: () => store.start.split('-')[1] ?? '' })

  const passing = ({ types, streamPrefix = '' }: Filter): StoredEvent[] =>
    log.filter(
      ({ type, stream }) =>
        (types?.includes(type) ?? true) && stream.startsWith(streamPrefix) && streamPrefix.isWellFormed(),
    )

  test('contain every event that passes, once and in order, for any filter, direction and size', async () => {
    const direction = fc.constantFrom('asc' as const, 'desc' as const)
    const sizes = fc.integer({ min: 1, max: 50 })
    const copyRowsMin = fc.constantFrom(1, 20, 1_000)
    const rows = createEventRows({ known: known(database.query), positions })
    await fc.assert(
      fc.asyncProperty(filters, direction, sizes, copyRowsMin, async (filter, direction, rowsMax, copyRowsMin) => {
        const pages = createPages({ rows, positions, filter, direction, windows, copyRowsMin })
        const found: StoredEvent[] = []
        for (let [low, high] = [1n, BigInt(eventsInLog)]; low <= high; ) {
          const { events, through, isFull } = await pages.next(low, high, rowsMax)
          expect(events.length).toBeLessThanOrEqual(rowsMax)
          expect(isFull).toBe(events.length === rowsMax)
          // Each page scans at least one position, so that the loop ends.
          expect(direction === 'asc' ? through >= low : through <= high).toBe(true)
          found.push(...events)
          if (direction === 'asc') low = through + 1n
          else high = through - 1n
        }
        expect(direction === 'asc' ? found : found.reverse()).toEqual(passing(filter))
      }),
      { numRuns: 150 },
    )
  }, 120_000)

  test('rare events are found by the index of types, without scanning the events between them', async () => {
    const statements: string[] = []
    const query: ObservedDatabase['query'] = (label, text, values, options) => {
      statements.push(text)
      return database.query(label, text, values, options)
    }
    const pages = createPages({
      rows: createEventRows({ known: known(query), positions }),
      positions,
      filter: { types: ['Hardly'] },
      windows,
    })
    for (let low = 1n; low <= BigInt(eventsInLog); ) low = (await pages.next(low, BigInt(eventsInLog), 10)).through + 1n
    // 30 positions, 240, and the rest.
    expect(statements).toHaveLength(3)
    const explained = await database.query<{ 'QUERY PLAN': string }>('spec', `explain (costs off) ${statements[1]}`)
    const plan = explained.map((row) => row['QUERY PLAN']).join('\n')
    expect(plan).toContain('events_type_position')
  })

  test('a subscription reaches the end of the log also when no event passes', async () => {
    const stop = new AbortController()
    const head = await store.head()
    for await (const { events, position } of store.subscribe({ types: ['Never'], signal: stop.signal })) {
      expect(events).toEqual([])
      if (position === head) break
    }
  })
})

describe('a subscription in large batches', () => {
  const fixture = useStoreFixture()

  test('is read in pages, and yields batches of the requested size', async () => {
    const store = await fixture.openStore({ database: fixture.database })
    const events = newEvents(3_000)
    for (let at = 0; at < events.length; at += 1_000)
      await store.append(to(newStream(), 'no stream', ...events.slice(at, at + 1_000)))
    const sizes: number[] = []
    const received: string[] = []
    for await (const batch of store.subscribe({ batchSize: 1_700, signal: fixture.stop.signal })) {
      sizes.push(batch.events.length)
      received.push(...batch.events.map(({ id }) => id))
      if (batch.position === (await store.head())) break
    }
    expect(sizes).toEqual([1_700, 1_300])
    expect(received).toEqual(events.map(({ id }) => id))
  })

  test('loses and repeats nothing when the database fails in the middle of a batch', async () => {
    const store = await fixture.openStore()
    const events = newEvents(3_500)
    for (let at = 0; at < events.length; at += 700)
      await store.append(to(newStream(), 'no stream', ...events.slice(at, at + 700)))
    let pages = 0
    const query: ObservedDatabase['query'] = (label, ...rest) => {
      if (label === 'eventStore.readAll' && ++pages % 2 === 0) fixture.database.loseResponseTo(label)
      return fixture.database.query(label, ...rest)
    }
    const breaking = await fixture.openStore({ database: { ...fixture.database, query }, pollMs: 20 })
    const received: string[] = []
    for await (const batch of breaking.subscribe({ batchSize: 3_000, signal: fixture.stop.signal })) {
      received.push(...batch.events.map(({ id }) => id))
      if (batch.position === (await store.head())) break
    }
    expect(received).toEqual(events.map(({ id }) => id))
    expect(pages).toBeGreaterThan(4)
  })
})
