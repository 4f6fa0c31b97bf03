import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Failure } from '../../domain/errors.ts'
import { createMemoryEventStore, memoryCapabilities } from '../../infra/event-store/memory.ts'
import type { EventStore, Json, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { positionsOf } from '../../infra/event-store/position.ts'
import { loadGoldenLog } from '../../testing/golden/log.ts'
import { checkLog } from './check.ts'
import { createIdSet } from './id-set.ts'

const signal = new AbortController().signal
const ask = (store: Parameters<typeof checkLog>[0]) => checkLog(store, { signal, onProgress: () => undefined })

const id = 'golden'
const positions = positionsOf(`memory-${id}`)

/** Returns a store that has exactly these events, in this order. */
const storeOf = (
  events: readonly StoredEvent[],
  readStream: (stream: string) => readonly StoredEvent[] = (stream) =>
    events.filter((event) => event.stream === stream),
): Parameters<typeof checkLog>[0] => ({
  capabilities: memoryCapabilities,
  start: positions.start,
  head: async () => events.at(-1)?.position ?? positions.start,
  distance: positions.distance,
  async *readAll() {
    yield* events
  },
  async *readStream(stream, { direction, limit } = {}) {
    const found = readStream(stream)
    yield* (direction === 'backwards' ? found.toReversed() : found).slice(0, limit)
  },
})

const golden = async (): Promise<readonly StoredEvent[]> => {
  const store: EventStore = createMemoryEventStore({ id })
  await loadGoldenLog(store)
  return Array.fromAsync(store.readAll())
}
const events = await golden()
const lengthOf = (stream: string) => events.filter((event) => event.stream === stream).length
const indexOf = (type: string) => events.findIndex((event) => event.type === type)
const changed = (index: number, change: (event: StoredEvent) => Partial<StoredEvent>) =>
  events.map((event, at) => (at === index ? { ...event, ...change(event) } : event))

describe('a log is looked through', () => {
  test('a whole one has no problem', async () => {
    const streams = new Set(events.map(({ stream }) => stream)).size
    expect(await ask(storeOf(events))).toEqual({
      events: events.length,
      streams,
      position: events.at(-1)?.position,
      problems: [],
    })
  })

  test('an empty one has none', async () =>
    expect(await ask(createMemoryEventStore())).toMatchObject({ events: 0, streams: 0, problems: [] }))

  test('one that was adopted has none, and what is missing there is found', async () => {
    const adopted = positionsOf(`memory-${id}`, [
      { name: 'e1800000000000', after: 4n },
      { name: 'e1800000000001', after: 9n },
    ])
    const moved = events.map((event) => ({ ...event, position: adopted.of(positions.numberOf(event.position)) }))
    const storeOfAdopted = (some: readonly StoredEvent[]) => ({ ...storeOf(some), distance: adopted.distance })
    expect(new Set(moved.map(({ position }) => position.length)).size).toBe(2)
    expect(await ask(storeOfAdopted(moved))).toMatchObject({ events: events.length, problems: [] })
    const { problems } = await ask(storeOfAdopted(moved.filter((_, index) => index !== 4)))
    expect(problems[0]).toMatchObject({ kind: 'position missing', count: 1 })
  })

  test('one whose positions are no numbers of events has gaps by itself', async () => {
    const spread = events.map((event) => ({
      ...event,
      position: positions.of(positions.numberOf(event.position) * 9n),
    }))
    const store = { ...storeOf(spread), capabilities: { ...memoryCapabilities, distanceIn: 'bytes' as const } }
    expect(await ask(store)).toMatchObject({ problems: [] })
  })

  // Nothing else shows that it was there.
  const lasts = [...new Map(events.map((event, index) => [event.stream, index])).values()]
  test.each([
    ['the last event of a stream', events.filter((_, index) => index !== lasts[0])],
    ['a whole stream', events.filter((event) => event.stream !== events[0]?.stream)],
  ])('%s that is missing', async (_, damaged) => {
    const { problems } = await ask(storeOf(damaged))
    expect(problems).toContainEqual(expect.objectContaining({ kind: 'position missing' }))
  })

  const { stream = '' } = events.find(({ revision }) => revision === 3n) ?? {}
  const longest = events.findIndex((event) => event.stream === stream && event.revision === 1n)
  test.each([
    ['position out of order', changed(5, () => ({ position: events[2]?.position ?? ('' as Position) }))],
    ['position missing', events.slice(1)],
    ['revision missing or repeated', events.filter((_, index) => index !== longest)],
    ['revision missing or repeated', changed(longest, () => ({ revision: 2n }))],
    ['event id twice', changed(9, () => ({ id: events[1]?.id ?? '' }))],
    ['event unreadable', changed(indexOf('FundsHeld'), () => ({ data: {} }))],
    ['event unreadable', changed(3, () => ({ type: 'Unheard' }))],
    ['event unreadable', changed(3, ({ metadata }) => ({ metadata: { ...metadata, schemaVersion: 99 } }))],
    [
      'balance below zero',
      changed(indexOf('DepositCredited'), ({ data }) => {
        const { posting, ...fields } = data as { readonly posting: { readonly amount: object } & object }
        return { data: { ...fields, posting: { ...posting, amount: { ...posting.amount, amount: '1' } } } as Json }
      }),
    ],
  ])('%s', async (kind, damaged) => {
    const { problems } = await ask(storeOf(damaged))
    expect(problems.map((problem) => problem.kind)).toContain(kind)
    expect(problems.find((problem) => problem.kind === kind)?.first[0]).toBeTruthy()
  })

  test.each([
    ['that was truncated', (all: readonly StoredEvent[]) => all.slice(1), 'begins with revision 1'],
    ['that was deleted', () => [], 'begins with revision none'],
    ['whose end is missing', (all: readonly StoredEvent[]) => all.slice(0, 1), 'ends with revision 0'],
  ])('a stream %s, though the log has its events', async (_, cut, why) => {
    const whole = (name: string) => events.filter((event) => event.stream === name)
    const { problems } = await ask(storeOf(events, (name) => (name === stream ? cut(whole(name)) : whole(name))))
    expect(problems).toEqual([{ kind: 'stream damaged', count: 1, first: [expect.stringContaining(why)] }])
  })

  test('a stream that the engine itself calls damaged', async () => {
    const { problems } = await ask(
      storeOf(events, (name) => {
        if (name === stream) throw new Failure('STREAM_DAMAGED', { stream, why: 'it was deleted' })
        return events.filter((event) => event.stream === name)
      }),
    )
    expect(problems).toEqual([{ kind: 'stream damaged', count: 1, first: [`${stream}: it was deleted`] }])
  })

  test.each([
    ['at its beginning', 0],
    ['in the middle', 1],
    ['at its end', lengthOf(stream) - 1],
  ])('a stream with an event of another program %s is named, as nothing else and once', async (_, at) => {
    const isForeign = (event: StoredEvent) => event.stream === stream && event.revision === BigInt(at)
    const why = `revision ${at} is an event of another program: its id, of type Ordered`
    const store = storeOf(events.filter((event) => !isForeign(event)))
    const readStream: typeof store.readStream = async function* (name, { direction, from = 0n, limit } = {}) {
      const all = events.filter(
        (event) => event.stream === name && (direction === 'backwards' || event.revision >= from),
      )
      for (const event of (direction === 'backwards' ? all.toReversed() : all).slice(0, limit)) {
        if (isForeign(event)) throw new Failure('STREAM_DAMAGED', { stream: name, why, foreignEvent: 'its id' })
        yield event
      }
    }
    // As with the only engine on which others write.
    const capabilities = { ...memoryCapabilities, distanceIn: 'bytes' as const }
    const { problems } = await ask({ ...store, readStream, capabilities })
    expect(problems).toEqual([{ kind: 'event of another program', count: 1, first: [`${stream}: ${why}`] }])
  })

  test('an outage is no damage', async () => {
    const away = () => {
      throw new Failure('DATABASE_UNAVAILABLE')
    }
    await expect(ask(storeOf(events, away))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  })
})

test('the set of ids knows each that was added, and no other', () =>
  fc.assert(
    fc.property(fc.array(fc.uuid(), { maxLength: 500 }), (ids) => {
      const known = createIdSet()
      const exact = new Set<string>()
      for (const id of [...ids, ...ids]) {
        expect(known.add(id)).toBe(!exact.has(id))
        exact.add(id)
      }
    }),
  ))

test('the set of ids grows', () => {
  const known = createIdSet()
  const id = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  for (let number = 0; number < 200_000; number += 1) if (!known.add(id(number))) throw new Error(`${number} was there`)
  for (let number = 0; number < 200_000; number += 997) expect(known.add(id(number))).toBe(false)
})
