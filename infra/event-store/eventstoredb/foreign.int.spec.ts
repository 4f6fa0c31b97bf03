import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import { afterEach, describe, expect, test } from '@jest/globals'
import { startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { eventually } from '../../../testing/eventually.ts'
import { parseEventStoreDbAddress } from '../../event-store-address.ts'
import type { Log } from '../../telemetry.ts'
import { idsOf, newEvent, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
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
    const after = positions.of((await reader.head()) ?? { commit: 0n, prepare: 0n })
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
    const tail = createTail({ connection: { ...connection, subscribe }, reader, positions, onStrange, idleMs: 500 })
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
