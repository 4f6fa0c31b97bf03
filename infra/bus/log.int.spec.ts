import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { newId } from '../../commands/ids.ts'
import { Failure } from '../../domain/errors.ts'
import { eventually } from '../../testing/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { sleep } from '../async/sleep.ts'
import { createMemoryEventStore } from '../event-store/memory.ts'
import type { Batch, EventStore, Filter } from '../event-store/port.ts'
import { openPostgresEventStore } from '../event-store/postgres.ts'
import { type Database, migrateOperations } from '../postgres.ts'
import { createLog } from '../telemetry.ts'
import { logBus } from './log.ts'

let testDatabase: TestDatabase
let database: Database
let store: EventStore
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect({ poolSize: 8 })
  await migrateOperations(database)
})
afterAll(() => testDatabase.drop())
beforeEach(async () => {
  await database.query('spec.clear', 'truncate ops.consumers')
  store = createMemoryEventStore()
})

const append = async (stream: string, type: string, to: EventStore = store) => {
  const id = newId()
  const ids = { commandId: id, correlationId: id, causationId: id }
  const metadata = { ...ids, actor: 'system:spec', time: '2026-01-01T00:00:00.000Z', schemaVersion: 1 }
  await to.append({ stream, expected: 'any', events: [{ id, type, data: {}, metadata }] })
}

/** Consumes until stopped; `seen` lists the events that were handled to the end, as `stream@revision`. */
const consume = (
  options: {
    consumer?: string
    filter?: Filter
    handle?: (batch: Batch) => Promise<void>
    log?: typeof silentLog
  } = {},
  from: EventStore = store,
  db: Pick<Database, 'query'> = database,
) => {
  const { consumer = 'spec', filter = {}, handle, log = silentLog } = options
  const seen: string[] = []
  const stopping = new AbortController()
  const done = logBus({ store: from, database: db, log }).consume({
    consumer,
    filter,
    signal: stopping.signal,
    handle: async (batch) => {
      await handle?.(batch)
      seen.push(...batch.events.map(({ stream, revision }) => `${stream}@${revision}`))
    },
  })
  return {
    seen,
    sees: (count: number) => eventually(`${count} events are seen`, () => seen.length >= count),
    stop: async () => {
      stopping.abort()
      await done
    },
  }
}
const position = (consumer = 'spec') => logBus({ store, database, log: silentLog }).position(consumer)
const reaches = (where: string, consumer = 'spec') =>
  eventually(`the position of ${consumer} is ${where}`, async () => (await position(consumer)) === where)

describe('a consumer', () => {
  test('that never began has no position', async () => {
    expect(await position()).toBeUndefined()
  })

  test('gets stored and new events in order, and its position follows', async () => {
    await append('a', 'Made')
    await append('b', 'Made')
    const consumer = consume()
    await consumer.sees(2)
    await append('a', 'Made')
    await consumer.sees(3)
    expect(consumer.seen).toEqual(['a@0', 'b@0', 'a@1'])
    await reaches(await store.head())
    await consumer.stop()
  })

  test('continues after a restart where it stopped', async () => {
    await append('a', 'Made')
    const first = consume()
    await first.sees(1)
    await reaches(await store.head())
    await first.stop()
    await append('a', 'Made')
    const second = consume()
    await second.sees(1)
    expect(second.seen).toEqual(['a@1'])
    await second.stop()
  })

  test('gets only the events of its filter, and its position passes over the others', async () => {
    const consumer = consume({ filter: { types: ['Made'] } })
    for (const type of ['Made', 'Left', 'Made', 'Left']) await append('a', type)
    await consumer.sees(2)
    expect(consumer.seen).toEqual(['a@0', 'a@2'])
    await consumer.stop()
    const again = consume({ filter: { types: ['Made'] } })
    await append('b', 'Made')
    await again.sees(1)
    expect(again.seen).toEqual(['b@0'])
    await again.stop()
  })

  test('has its own position', async () => {
    await append('a', 'Made')
    const one = consume({ consumer: 'one' })
    await one.sees(1)
    await reaches(await store.head(), 'one')
    const two = consume({ consumer: 'two' })
    await two.sees(1)
    expect(two.seen).toEqual(['a@0'])
    await Promise.all([one.stop(), two.stop()])
  })

  test('that is stopped while it handles a batch finishes it, and does not get it again', async () => {
    await append('a', 'Made')
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const consumer = consume({
      handle: async () => {
        begun.resolve()
        await gate.promise
      },
    })
    await begun.promise
    const stopped = consumer.stop()
    gate.resolve()
    await stopped
    expect(consumer.seen).toEqual(['a@0'])
    expect(await position()).toBe(await store.head())
  })

  test('with a position of another log is refused, and does not begin anew', async () => {
    await append('a', 'Made')
    const first = consume()
    await first.sees(1)
    await reaches(await store.head())
    await first.stop()
    const other = createMemoryEventStore()
    await append('b', 'Made', other)
    const lines: string[] = []
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) })
    const second = consume({ log }, other)
    await eventually('it is logged', () => lines.length > 0)
    await second.stop()
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ code: 'POSITION_FOREIGN', consumer: 'spec' })
    expect(second.seen).toEqual([])
  })
})

describe('a batch that cannot be handled', () => {
  test('is delivered again, whole, before any later event', async () => {
    await append('a', 'Made')
    await append('b', 'Made')
    const lines: string[] = []
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) })
    const offered: string[][] = []
    const consumer = consume({
      log,
      handle: async ({ events }) => {
        offered.push(events.map(({ stream }) => stream))
        if (offered.length === 1) throw new Failure('DATABASE_UNAVAILABLE')
        if (offered.length === 2) throw new Error('what?')
      },
    })
    await consumer.sees(2)
    await consumer.stop()
    expect(offered).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ])
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { consumer: 'spec', code: 'DATABASE_UNAVAILABLE' },
      { consumer: 'spec', code: 'INTERNAL' },
    ])
  })

  test('is not offered again at once', async () => {
    await append('a', 'Made')
    const beganMs = performance.now()
    let offers = 0
    const consumer = consume({
      handle: async () => {
        offers += 1
        throw new Error('never')
      },
    })
    await eventually('it is offered again', () => offers > 1)
    await sleep(500)
    await consumer.stop()
    // The shortest pause is 200 ms.
    expect(offers).toBeLessThanOrEqual(1 + (performance.now() - beganMs) / 200)
  })

  test('leaves the position where it was', async () => {
    await append('a', 'Made')
    const refused = Promise.withResolvers<void>()
    const consumer = consume({
      handle: async () => {
        refused.resolve()
        throw new Error('what?')
      },
    })
    await refused.promise
    await consumer.stop()
    expect(await position()).toBeUndefined()
  })

  test('is not delivered again because its position could not be saved: that is tried again', async () => {
    await append('a', 'Made')
    let broken = true
    const query: Database['query'] = async (label, ...rest) => {
      if (label === 'bus.save' && broken) {
        broken = false
        throw new Failure('DATABASE_UNAVAILABLE')
      }
      return database.query(label, ...rest)
    }
    const consumer = consume({}, store, { query })
    await consumer.sees(1)
    await reaches(await store.head())
    await consumer.stop()
    expect(consumer.seen).toEqual(['a@0'])
    expect(broken).toBe(false)
  })
})

test('two consumers of one name: each event comes at least once, and the position never goes back', async () => {
  const slow = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  await append('a', 'Made')
  const late = consume({
    handle: async () => {
      begun.resolve()
      await slow.promise
    },
  })
  await begun.promise
  const quick = consume()
  await append('b', 'Made')
  await quick.sees(2)
  await reaches(await store.head())
  const stopped = late.stop()
  slow.resolve()
  await stopped
  expect(late.seen).toEqual(['a@0'])
  expect(await position()).toBe(await store.head())
  await quick.stop()
})

test('the log on PostgreSQL delivers in the same way', async () => {
  const real = await openPostgresEventStore({ database })
  try {
    for (let index = 0; index < 250; index++) await append('a', 'Made', real)
    const consumer = consume({ consumer: 'real' }, real)
    await consumer.sees(250)
    await append('b', 'Made', real)
    await consumer.sees(251)
    await consumer.stop()
    expect(consumer.seen).toEqual([...Array.from({ length: 250 }, (_, index) => `a@${index}`), 'b@0'])
    const bus = logBus({ store: real, database, log: silentLog })
    expect(await bus.position('real')).toBe(await real.head())
  } finally {
    await real.close()
  }
})
