import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import { shareReader } from '../one-reader.ts'
import type { EventStore, Json } from '../port.ts'
import { useStoreFixture } from './store.testing.ts'

describe('what a process has appended itself', () => {
  const fixture = useStoreFixture()

  /** Follows the log without a filter until stopped. */
  const follow = async (store: EventStore) => {
    const stop = new AbortController()
    const after = await store.head()
    return {
      until: (count: number | (() => number)) => eventsUntil(store, { after, signal: stop.signal }, count),
      stop: () => stop.abort(),
    }
  }

  test('reaches its subscribers without being read', async () => {
    const store = shareReader(await fixture.openStore({ database: fixture.database }))
    const followers = await Promise.all(Array.from({ length: 10 }, () => follow(store)))
    const reads = () => fixture.database.queryCounts.get('eventStore.readAll') ?? 0
    const begun = new Set<number>()
    let wanted = Number.POSITIVE_INFINITY
    const seen = followers.map(({ until }, index) =>
      until(() => {
        begun.add(index)
        return wanted
      }),
    )
    // Until they have joined at the end of the log, each reads for itself.
    let early = 0
    await eventually('all to have joined', async () => {
      const before = reads()
      await store.append(to(newStream(), 'no stream', newEvent()))
      early += 1
      await delay(50)
      return begun.size === followers.length && reads() === before
    })
    const events = newEvents(60)
    wanted = early + events.length
    const before = reads()
    for (const event of events.slice(0, 30)) await store.append(to(newStream(), 'any', event))
    await Promise.all(events.slice(30).map((event) => store.append(to(newStream(), 'any', event))))
    for (const one of await Promise.all(seen)) expect(one).toHaveLength(wanted)
    expect(reads() - before).toBeLessThanOrEqual(1)
  })

  test('is what is stored, field by field', async () => {
    const store = await fixture.openStore({ database: fixture.database })
    const { until } = await follow(store)
    const seen = until(5)
    const data = { text: 'é\u2028"\\', whole: 2 ** 53 - 1, half: 0.5, deep: [{ none: null }], '10': 1, '9': 2 } as Json
    const [first, ...more] = newEvents(4).map((event) => ({ ...event, data }))
    if (!first) throw new Error('There are four.')
    await store.append(to(newStream(), 'no stream', { ...first, id: first.id.toUpperCase() }))
    const stream = newStream()
    await store.append(to(stream, 'any', ...more))
    await store.append(to(stream, 'stream exists', newEvent()))
    const stored = (await collect(store.readAll())).slice(-5)
    expect(JSON.stringify(await seen, bigintAsText)).toBe(JSON.stringify(stored, bigintAsText))
  })

  test('comes in its place among what other processes append, and repetitions and refusals make no difference', async () => {
    const one = shareReader(await fixture.openStore({ database: fixture.database }))
    const other = shareReader(await fixture.openStore({ database: fixture.specDatabase.open() }))
    const count = 400
    const followers = await Promise.all([one, other].flatMap((store) => [follow(store), follow(store)]))
    const seen = followers.map(({ until }) => until(count))
    const from = await one.head()
    let random = 7
    const next = (below: number) => {
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31
      return random % below
    }
    for (let left = count; left > 0; ) {
      const size = Math.min(left, 1 + next(4))
      left -= size
      const append = to(newStream(), 'no stream', ...newEvents(size))
      const store = next(2) === 0 ? one : other
      const appending = store.append(append)
      if (next(3) === 0) await appending
      if (next(5) === 0) await appending.then(() => store.append(append))
      if (next(5) === 0) await store.append(to(newStream(), 'stream exists', newEvent()))
    }
    const all = await Promise.all(seen)
    const stored = await collect(one.readAll({ after: from }))
    for (const events of all) expect(idsOf(events)).toEqual(idsOf(stored.slice(0, count)))
  })
})

const bigintAsText = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
