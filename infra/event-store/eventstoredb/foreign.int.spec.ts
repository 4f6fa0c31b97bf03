import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import { afterEach, describe, expect, test } from '@jest/globals'
import { createServerLog } from '../../../testing/eventstoredb/log.ts'
import { startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { eventually } from '../../../testing/eventually.ts'
import { sleep } from '../../async/sleep.ts'
import { parseEventStoreDbAddress } from '../../event-store-address.ts'
import { createLog, type Log } from '../../telemetry.ts'
import { codeThrownBy, collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import type { Appended, Position } from '../port.ts'
import { connectEventStoreDb } from './client.ts'
import { createKnownIds } from './known-ids.ts'
import { logPositionsOf } from './position.ts'
import { createReader } from './reader.ts'
import { createTail } from './subscription.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** Starts a server, and opens a store and the bare client of another program on it. */
const begin = async (log?: Log) => {
  const server = await startEventStoreDbServer()
  stops.push(server.stop)
  const store = await openEventStoreDb({ url: server.url, settleMs: 30_000, ...(log && { log }) })
  stops.push(store.close)
  const other = EventStoreDBClient.connectionString(server.url)
  stops.push(() => other.dispose())
  /** Appends events of another program. */
  const write = (stream: string, events: readonly Parameters<typeof jsonEvent>[0][]) =>
    other.appendToStream(stream, events.map(jsonEvent), { credentials: { username: 'a', password: 'b' } })
  return { server, store, write }
}

const time = '2026-01-01T00:00:00Z'
const ours = { commandId: 'a', correlationId: 'b', causationId: 'c', actor: 'd', schemaVersion: 1 }
const appendId = '0e4b1a6c-6a39-4b1c-8b3c-1c59f5a0c1de'
const ordered = (count: number) => Array.from({ length: count }, (_, n) => ({ type: 'Ordered', data: { n } }))

describe('thousands of events of other programs after the last of ours', () => {
  const pages = 5
  const writeMany = async (write: Awaited<ReturnType<typeof begin>>['write']) => {
    for (let page = 0; page < pages; page += 1) await write('orders', ordered(500))
  }

  test('a subscription without a filter reads them once, and then waits', async () => {
    const { server, store, write } = await begin()
    await store.append(to('s', 'no stream', newEvent()))
    const address = parseEventStoreDbAddress(server.url)
    if (!address) throw new Error('an address')
    const connection = connectEventStoreDb(address)
    stops.push(connection.close)
    const positions = logPositionsOf('esdb-a')
    const onStrange = () => undefined
    const reader = createReader({ connection, positions, knownIds: createKnownIds(), onStrange })
    const head = async () => (await reader.lastEvent())?.position
    const after = positions.of((await head()) ?? { commit: 0n, prepare: 0n })
    await writeMany(write)

    const opened: string[] = []
    let isWaiting = false
    const subscribe: typeof connection.subscribe = (...asked) => {
      opened.push(asked[0] === 'start' ? 'start' : positions.of(asked[0]))
      const subscription = connection.subscribe(...asked)
      const next: typeof subscription.next = async (options) => {
        const items = await subscription.next(options)
        isWaiting = items === undefined
        return items
      }
      return { ...subscription, next }
    }
    const isKnown = () => true
    const watched = { ...connection, subscribe }
    const tail = createTail({ connection: watched, head, isKnown, positions, onStrange, idleMs: 500 })
    stops.push(tail.close)
    const received: string[] = []
    void (async () => {
      for await (const { events } of tail.subscribe({ after, signal: new AbortController().signal }))
        received.push(...idsOf(events))
    })()
    await eventually('the subscription to wait', () => isWaiting || opened.length > 20)
    expect(opened.length).toBeLessThanOrEqual(2 * pages)
    expect(opened.toSorted()).toEqual(opened)
    expect(new Set(opened).size).toBe(opened.length)
    const event = newEvent()
    await store.append(to('s', 0n, event))
    await eventually('the next event of ours', () => received.length > 0)
    expect(received).toEqual([event.id])
  })

  test('are searched once for the last of ours, also where an operator has cut its stream', async () => {
    const { server, store, write } = await begin()
    await store.append(to('s', 'no stream', newEvent()))
    const last = await store.head()
    await writeMany(write)
    const asked = () => server.asked.get('readAll') ?? 0
    expect(await store.head()).toBe(last)
    for (let round = 0; round < 3; round += 1) {
      const before = asked()
      expect(await store.head()).toBe(last)
      expect(asked() - before).toBe(1)
      await write('orders', ordered(2))
      expect(await store.head()).toBe(last)
      expect(asked() - before).toBeLessThanOrEqual(3)
    }
    server.log.truncate('s', 'all')
    const before = asked()
    expect(await store.head()).toBe(last)
    expect(asked() - before).toBeLessThanOrEqual(3)
  })
})

describe('a log that was put back to before events of other programs, and has all of ours', () => {
  test('what follows of ours comes to a subscription that had read on', async () => {
    const { server, store, write } = await begin()
    await store.append(to('s', 'no stream', newEvent()))
    const backup = [...server.log.records]
    const received: string[] = []
    const stop = new AbortController()
    const reading = (async () => {
      for await (const { events } of store.subscribe({ signal: stop.signal })) received.push(...idsOf(events))
    })()
    await eventually('the event of ours', () => received.length === 1)
    const read = () => server.log.records.length
    for (let round = 0; round < 3; round += 1) {
      const before = read()
      await write('orders', ordered(500))
      await eventually('the events of others', () => read() >= before + 500)
    }
    await sleep(500)
    await server.replaceLog(createServerLog(backup))
    const event = newEvent()
    await store.append(to('s', 0n, event))
    await eventually('the next event of ours', () => received.length === 2, 30_000)
    expect(received[1]).toBe(event.id)
    stop.abort()
    await reading
  }, 60_000)

  const filters = [{ types: ['Happened'] }, { types: ['Happened', 'Other'] }, { streamPrefix: 's' }]
  test.each(filters.flatMap((filter) => [10, 1_700].map((others) => [filter, others] as const)))(
    'a subscription with the filter %j is told no position behind the last of ours where %i of others follow, and gets what comes then, also at the next start',
    async (filter, othersCount) => {
      const { server, store, write } = await begin()
      await store.append(to('s', 'no stream', newEvent()))
      const head = await store.head()
      const backup = [...server.log.records]
      const follow = (from: typeof store, after = store.start) => {
        const seen: { ids: string[]; position: Position } = { ids: [], position: after }
        const stop = new AbortController()
        const reading = (async () => {
          for await (const { events, position } of from.subscribe({ ...filter, after, signal: stop.signal })) {
            seen.ids.push(...idsOf(events))
            seen.position = position
          }
        })()
        stops.push(async () => {
          stop.abort()
          await reading
        })
        return seen
      }
      const live = follow(store)
      await eventually('the event of ours', () => live.ids.length === 1)
      for (let left = othersCount; left > 0; left -= 500) await write('orders', ordered(Math.min(left, 500)))
      const behind = follow(store)
      await eventually('the event of ours again', () => behind.ids.length === 1)
      await sleep(300)
      const told = live.position
      expect([told, behind.position]).toEqual([head, head])

      await server.replaceLog(createServerLog(backup))
      const later = newEvent()
      await store.append(to('s', 0n, later))
      const next = await openEventStoreDb({ url: server.url })
      stops.push(next.close)
      const atNextStart = follow(next, told)
      for (const [seen, count] of [
        [live, 2],
        [behind, 2],
        [atNextStart, 1],
      ] as const) {
        await eventually('what came then', () => seen.ids.length === count, 30_000)
        expect(seen.ids.at(-1)).toBe(later.id)
      }
    },
    60_000,
  )

  test('the head is the last of ours, however many events of others follow it again', async () => {
    const { server, store, write } = await begin()
    await store.append(to('s', 'no stream', newEvent()))
    const backup = [...server.log.records]
    await write('orders', ordered(500))
    await store.head()
    await server.replaceLog(createServerLog(backup))
    const { position } = (await store.append(to('s', 0n, newEvent()))) as Appended
    for (let page = 0; page < 3; page += 1) await write('orders', ordered(500))
    expect(await store.head()).toBe(position)
  })
})

describe('events of other programs on the same server', () => {
  test('are never returned with those of all streams, also those in our streams', async () => {
    const { server, store, write } = await begin()
    const [one, two] = newEvents(2)
    if (!one || !two) throw new Error('two events')
    await store.append(to('s', 'no stream', one))
    await write('s', ordered(1))
    await store.append(to('t', 'no stream', two))
    const all = await collect(store.readAll())
    expect(idsOf(all)).toEqual([one.id, two.id])
    expect(idsOf(await eventsUntil(store, {}, 2))).toEqual([one.id, two.id])
    expect(server.log.records.length).toBeGreaterThan(8)
    expect(all.some(({ metadata }) => 'appendId' in metadata)).toBe(false)
  })

  test('that carry our mark and are not ours are left out, and logged once a stream', async () => {
    const lines: string[] = []
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => void lines.push(line) })
    const { store, write } = await begin(log)
    for (const metadata of [
      { appendId },
      { appendId: 'mine', ...ours, time },
      { appendId, ...ours },
      { appendId, ...ours, time: 'yesterday' },
      { appendId, ...ours, time, actor: 7 },
    ])
      await write('theirs', [{ type: 'Foreign', data: {}, metadata }])
    const event = newEvent()
    await store.append(to('s', 'no stream', event))
    expect(idsOf(await collect(store.readAll()))).toEqual([event.id])
    expect(idsOf(await eventsUntil(store, {}, 1))).toEqual([event.id])
    const said = lines
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === 'events of another program are left out')
    expect(said).toMatchObject([{ stream: 'theirs', revision: '0' }])
  })
})

describe('a stream with an event of another program', () => {
  const kinds = {
    ours: { type: 'Happened', data: {}, metadata: { ...ours, appendId, time } },
    theirs: { type: 'Ordered', data: {} },
    marked: { type: 'Ordered', data: {}, metadata: { appendId } },
  }
  const appends = ['any', 'stream exists', 'no stream', 0n, 1n, 2n] as const

  test.each([
    [['theirs', 'ours', 'ours'], 0n],
    [['ours', 'theirs', 'ours'], 1n],
    [['ours', 'marked', 'ours'], 1n],
    [['ours', 'ours', 'theirs'], 2n],
    [['theirs'], 0n],
  ] as const)('(%s) is damaged: reads and appends name that event at once, and nothing is written', async (row, at) => {
    const { server, store, write } = await begin()
    const stream = newStream()
    for (const kind of row) await write(stream, [kinds[kind]])
    const foreign = server.log.streamOf(stream)[Number(at)]
    const failure = {
      code: 'STREAM_DAMAGED',
      details: {
        stream,
        why: expect.stringContaining(`revision ${at} is an event of another program`),
        foreignEvent: foreign?.id,
      },
    }
    for (const range of [
      {},
      { direction: 'backwards' },
      { from: at },
      { from: at, limit: 1 },
      { untilTime: time },
    ] as const)
      await expect(collect(store.readStream(stream, range))).rejects.toMatchObject(failure)
    for (const expected of appends)
      expect(await codeThrownBy(() => store.append(to(stream, expected, newEvent())))).toBe('STREAM_DAMAGED')
    expect(server.log.streamOf(stream)).toHaveLength(row.length)
    if (at > 0n) expect(await collect(store.readStream(stream, { limit: Number(at) }))).toHaveLength(Number(at))
    expect(await collect(store.readAll())).toHaveLength(row.filter((kind) => kind === 'ours').length)
  })

  test('written after ours, is named to a process that has written those', async () => {
    const { server, store, write } = await begin()
    const events = newEvents(2)
    for (const expected of appends) {
      const stream = newStream()
      const first = to(stream, 'no stream', ...events)
      const appended = await store.append(first)
      await write(stream, ordered(1))
      await expect(collect(store.readStream(stream, { from: 2n }))).rejects.toMatchObject({ code: 'STREAM_DAMAGED' })
      for (let round = 0; round < 2; round += 1)
        expect(await codeThrownBy(() => store.append(to(stream, expected, newEvent())))).toBe('STREAM_DAMAGED')
      expect(await store.append(first)).toMatchObject({ ...appended, repeated: true })
      expect(server.log.streamOf(stream)).toHaveLength(3)
    }
  })
})
