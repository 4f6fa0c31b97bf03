import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { newId } from '../commands/ids.ts'
import { aggregates } from '../domain/aggregates.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { at, createSpecLog } from './engine/log.testing.ts'
import { writeRentals } from './engine/market.testing.ts'
import { createHistoryWriter, randomHistory } from './engine/random-history.testing.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import { followEvents } from './event-follow.ts'
import { type EventFilter, type EventList, listEvents } from './event-list.ts'
import { events, namingEvents, partyNamedBy } from './events.ts'
import { cursorOf } from './page.ts'

let world: ReadWorld
let writeHistory: ReturnType<typeof createHistoryWriter>

beforeAll(async () => {
  world = await createReadWorld()
  writeHistory = createHistoryWriter(world.store)
  world.start({ projections: [events] })
})
afterAll(() => world.close())

/** Returns the events that pass a filter and concern a party, found without index and cache. */
const wanted = (log: readonly StoredEvent[], filter: EventFilter, party?: string): StoredEvent[] => {
  const streams = new Set<string>()
  return log.filter((event) => {
    const { type, stream, metadata } = event
    if (partyNamedBy(event) === party) streams.add(stream)
    return (
      (party === undefined || streams.has(stream)) &&
      (filter.types?.includes(type) ?? true) &&
      (filter.stream ?? stream) === stream &&
      (filter.correlation ?? metadata.correlationId) === metadata.correlationId &&
      (filter.from ?? '') <= metadata.time &&
      (filter.to === undefined || metadata.time < filter.to)
    )
  })
}

/** Resolves to the events of all pages of a list, from one end or the other. */
const allOf = async (
  list: Omit<EventList, 'take'>,
  size: number,
  backwards: boolean,
  streamsMergedMax?: number,
): Promise<StoredEvent[]> => {
  const found: StoredEvent[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await listEvents(
      world,
      backwards ? { ...list, take: { last: size }, before: cursor } : { ...list, take: { first: size }, after: cursor },
      streamsMergedMax,
    )
    if (backwards) found.unshift(...page.events)
    else found.push(...page.events)
    if (!(backwards ? page.hasPreviousPage : page.hasNextPage)) return found
    expect(page.events).toHaveLength(size)
    cursor = cursorOf([(backwards ? page.events[0] : page.events.at(-1))?.position ?? ''])
  }
}

const types = Object.values(aggregates).flatMap(({ schemas }) => Object.keys(schemas))
const second = fc.integer({ min: 0, max: 600 }).map(at)
const question = fc.record({
  history: fc.record(randomHistory),
  filters: fc.array(
    fc.record(
      {
        types: fc.subarray(types),
        correlation: fc.nat(9).map((number) => `correlation-${number}`),
        from: second,
        to: second,
      },
      { requiredKeys: [] },
    ),
    { minLength: 5, maxLength: 5 },
  ),
  pick: fc.nat(),
  size: fc.integer({ min: 1, max: 30 }),
})
const parties = [undefined, '0xp', '0xr1', '0xr2', 'nobody']

test('every page of every list, in both directions, is what the log itself gives; and so is a subscription', () =>
  fc.assert(
    fc.asyncProperty(question, async ({ history, filters, pick, size }) => {
      await writeHistory(history)
      await world.caughtUp()
      const log = await Array.fromAsync(world.store.readAll())
      const { stream } = log[pick % log.length] as StoredEvent
      for (const [index, filter] of [{}, { stream }, ...filters].entries()) {
        const party = parties[(pick + index) % parties.length]
        const truth = wanted(log, filter, party)
        expect(await allOf({ ...filter, party }, size, false)).toEqual(truth)
        expect(await allOf({ ...filter, party }, size, true)).toEqual(truth)
        expect(await allOf({ ...filter, party }, size, index % 2 === 0, 0)).toEqual(truth)
        const from = log[(pick * 7) % log.length] as StoredEvent
        const rest = truth.filter(({ position }) => position > from.position)
        expect(await follow(filter, party, from, rest.length)).toEqual(rest)
      }
    }),
    { numRuns: 8, endOnFailure: true },
  ))

/** Resolves to so many events of a subscription; waiting for one more would never end. */
const follow = async (filter: EventFilter, party: string | undefined, after: StoredEvent, count: number) => {
  const leaving = new AbortController()
  const { store } = world
  const found: StoredEvent[] = []
  if (count === 0) return found
  for await (const event of followEvents({ store, filter, party, after: after.position, signal: leaving.signal })) {
    found.push(event)
    if (found.length === count) break
  }
  leaving.abort()
  return found
}

test('an event that cannot be read ends no subscription, and concerns no party', async () => {
  const { store } = world
  const after = await store.head()
  const log = createSpecLog(store, 1_000_000)
  const stored = await Array.fromAsync(store.readAll({ direction: 'backwards', limit: 1 }))
  const metadata = { ...(stored[0] as StoredEvent).metadata, schemaVersion: 99 }
  await store.append({
    stream: 'provider-broken',
    expected: 'no stream',
    events: [{ id: newId(), type: 'ProviderRegistered', data: { wallet: 'ada' }, metadata }],
  })
  await log.write('provider', 'ada', { type: 'ProviderRegistered', wallet: 'ada', name: 'Ada', registeredAt: at(0) })
  const leaving = new AbortController()
  const seen = []
  for await (const event of followEvents({ store, filter: {}, party: 'ada', after, signal: leaving.signal })) {
    seen.push(event.stream)
    break
  }
  leaving.abort()
  expect(seen).toEqual(['provider-ada'])
})

test('a stream names its parties within its first events', async () => {
  const log = createSpecLog()
  const ends = ['settled', 'active', 'rejected'] as const
  await writeRentals(
    log,
    ends.map((end, number) => ({ number, end })),
    [],
  )
  for (const stored of await Array.fromAsync(log.store.readAll()))
    if (partyNamedBy(stored) !== undefined) expect(stored.revision).toBeLessThan(BigInt(namingEvents))
})

describe('what it costs', () => {
  test('a page of the whole log is one query of the index, one of a wallet two, one of a time range three', async () => {
    world.asked.length = 0
    await listEvents(world, { take: { last: 100 } })
    await listEvents(world, { take: { last: 100 }, party: '0xr1' })
    await listEvents(world, { take: { last: 100 }, from: at(0), to: at(300) })
    expect(world.asked).toEqual([
      'events.list',
      'events.streams',
      'events.list',
      'events.days',
      'events.bounds',
      'events.list',
    ])
  })
})

test('nothing is found in an empty range, and a page larger than allowed is refused', async () => {
  const nothing = { events: [], hasNextPage: false, hasPreviousPage: false }
  expect(await listEvents(world, { take: { first: 9 }, from: at(9), to: at(3) })).toEqual(nothing)
  expect(await listEvents(world, { take: { first: 9 }, from: '2027-01-01T00:00:00.000Z' })).toEqual(nothing)
  expect(await listEvents(world, { take: { first: 9 }, types: [] })).toEqual(nothing)
  await expect(listEvents(world, { take: { last: 101 } })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  await expect(listEvents(world, { take: { first: 1 }, after: 'x' })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
})
