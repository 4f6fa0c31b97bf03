// What a server decides on a write, a read or a subscription, other than yes: each of its answers once, as the sources of
// EventStoreDB 23.10 and KurrentDB 25.0 have them.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { createServerLog } from '../../../testing/eventstoredb/log.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { eventually } from '../../../testing/eventually.ts'
import { codeThrownBy, collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import type { EventStore } from '../port.ts'
import { decisionCases } from './decisions.testing.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const start = async (options?: Parameters<typeof startEventStoreDbServer>[0]): Promise<EventStoreDbServer> => {
  const server = await startEventStoreDbServer(options)
  stops.push(server.stop)
  return server
}
const open = async (
  servers: readonly EventStoreDbServer[],
  { settleMs = 30_000, ...options }: { settleMs?: number; idleMs?: number } = {},
): Promise<EventStore> => {
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`)
  const store = await openEventStoreDb({ url: `esdb://${hosts}?tls=false`, settleMs, ...options })
  stops.push(store.close)
  return store
}
/** Starts a leader and a node that follows it. */
const startCluster = async () => {
  const leader = await start({ commitMsMax: 300 })
  const follower = await start({ log: leader.log, commitMsMax: 300 })
  follower.follow(leader)
  return { leader, follower, both: [leader, follower] as const }
}
/** Appends many events at once while something happens, and checks that each is there once, and was tailed. */
const appendThrough = async (store: EventStore, happen: () => Promise<unknown>) => {
  const streams = Array.from({ length: 12 }, () => newStream())
  const events = streams.map(() => newEvents(3))
  const after = await store.head()
  const tailed = eventsUntil(store, { after }, streams.length * 3)
  const appended = Promise.all(
    streams.map(async (stream, index) => {
      for (const [n, event] of (events[index] ?? []).entries()) {
        const outcome = await store.append(to(stream, n === 0 ? 'no stream' : BigInt(n - 1), event))
        expect(outcome).toMatchObject({ outcome: 'appended', revision: BigInt(n), repeated: false })
      }
    }),
  )
  await happen()
  await appended
  for (const [index, stream] of streams.entries())
    expect(idsOf(await collect(store.readStream(stream)))).toEqual(idsOf(events[index] ?? []))
  expect(idsOf(await tailed).toSorted()).toEqual(idsOf(events.flat()).toSorted())
}

describe('on any server', () => {
  let server: EventStoreDbServer
  beforeAll(async () => {
    server = await startEventStoreDbServer()
  })
  afterAll(() => server.stop())
  decisionCases(() => server.url)
})

describe('an append that is too large', () => {
  test('in one event is refused', async () => {
    const server = await start({ eventBytesMax: 900 })
    const store = await open([server])
    const append = to(newStream(), 'no stream', newEvent(), newEvent('Large', { text: 'x'.repeat(800) }))
    await expect(store.append(append)).rejects.toMatchObject({
      code: 'EVENT_INVALID',
      details: { stream: append.stream, reason: expect.stringMatching(/Maximum Append Event Size of 900 /) },
    })
  })

  test('counts only its data on a server of version 23.10', async () => {
    const limits = { appendBytesMax: 400, eventBytesMax: 100 } as const
    const [old, later] = [await start({ ...limits, release: '23.10' }), await start(limits)]
    const append = to(newStream(), 'no stream', newEvent('Large', { text: 'x'.repeat(300) }))
    expect(await (await open([old])).append(append)).toMatchObject({ outcome: 'appended' })
    expect(await codeThrownBy(async () => (await open([later])).append(append))).toBe('EVENT_INVALID')
  })
})

describe('a leader', () => {
  test('that resigns cancels the writes on their way: each is settled with the next leader', async () => {
    const { leader, follower, both } = await startCluster()
    await appendThrough(await open(both), async () => {
      follower.follow('myself')
      await leader.resign(follower)
    })
    expect(follower.asked.get('append')).toBeGreaterThan(0)
  })

  test('that is shut down says that it is not ready, and then breaks its connections', async () => {
    const server = await start()
    await appendThrough(await open([server]), server.shutDown)
  })

  test('that is cut off from the others is left for the next, also by a process that only reads', async () => {
    const old = await start()
    const writer = await open([old])
    const [first, second] = newEvents(2)
    if (!first || !second) throw new Error('two events')
    await writer.append(to('s', 'no stream', first))
    const next = await start({ log: createServerLog(old.log.records) })
    next.follow(old)
    const reader = await open([old, next], { idleMs: 100 })
    const tailed = eventsUntil(reader, {}, 2)
    await eventually('a live subscription', () => old.asked.get('subscribe') === 2)
    old.follow('nobody')
    next.follow('myself')
    const other = await open([old, next])
    expect(await other.append(to('s', 0n, second))).toMatchObject({ outcome: 'appended', revision: 1n })
    expect(idsOf(await tailed)).toEqual([first.id, second.id])
  })

  test('that answers nothing any more is left for the next', async () => {
    const { leader, follower, both } = await startCluster()
    const store = await open(both)
    await store.append(to('s', 'no stream', newEvent()))
    const tailed = eventsUntil(store, {}, 2)
    leader.freeze()
    follower.follow('myself')
    expect(await store.append(to('s', 0n, newEvent()))).toMatchObject({ outcome: 'appended', repeated: false })
    expect(await tailed).toHaveLength(2)
    expect(await collect(store.readStream('s'))).toHaveLength(2)
  })

  test('that a read-only replica does not know is awaited', async () => {
    const server = await start()
    const store = await open([server], { settleMs: 300 })
    server.follow(server)
    const append = to('s', 'no stream', newEvent())
    expect(await codeThrownBy(() => store.append(append))).toBe('DATABASE_UNAVAILABLE')
    server.follow('myself')
    // An attempt of the first may have been on its way.
    expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 0n })
  })
})

test('a user who may write our streams and not read the whole log is refused when the store is opened', async () => {
  const server = await start({ deniesAll: true })
  expect(await codeThrownBy(() => open([server]))).toBe('CONFIG_INVALID')
})

test.each(['23.10', '25.0'] as const)(
  'a subscriber that is too slow for a server of version %s misses nothing and gets nothing twice',
  async (release) => {
    const server = await start({ release })
    const store = await open([server])
    const after = await store.head()
    const count = 400
    const appending = (async () => {
      for (let n = 0; n < count / 50; n += 1) {
        await store.append(to(newStream(), 'no stream', ...newEvents(50)))
        await store.append(to(newStream(), 'no stream', newEvent('Other')))
      }
    })()
    const received: string[] = []
    const signal = AbortSignal.timeout(30_000)
    for await (const { events } of store.subscribe({ after, types: ['Happened'], batchSize: 20, signal })) {
      received.push(...idsOf(events))
      if (received.length >= count) break
    }
    await appending
    expect(received).toEqual(idsOf(await collect(store.readAll({ after, types: ['Happened'] }))))
  },
)
