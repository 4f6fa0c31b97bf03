import { afterEach, describe, expect, test } from '@jest/globals'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { collect, newEvent, newEvents, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import type { EventStore } from '../port.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})
const open = async (url: string): Promise<EventStore> => {
  const store = await openEventStoreDb({ url })
  stops.push(store.close)
  return store
}

describe('a stream that an operator cut', () => {
  /** Starts a server with a stream of six events, and opens a store that has not read them. */
  const cut = async () => {
    const server = await startEventStoreDbServer()
    stops.push(server.stop)
    const writer = await open(server.url)
    for (const event of newEvents(6)) await writer.append(to('s', 'any', event))
    return { server, store: await open(server.url) }
  }
  const read = (store: EventStore, range?: Parameters<EventStore['readStream']>[1]) => () =>
    collect(store.readStream('s', range))
  const damaged = { code: 'STREAM_DAMAGED', details: { stream: 's', why: expect.any(String) } }

  type Cut = readonly [string, (server: EventStoreDbServer) => void]
  const truncated: Cut = ['truncated', ({ log }) => log.truncate('s', 3n)]
  const deleted: Cut = ['deleted', ({ log }) => log.truncate('s', 'all')]
  const expired: Cut = ['expired', ({ log }) => log.expire('s')]
  const tombstoned: Cut = ['deleted forever', ({ log }) => log.tombstone('s')]
  const writesOf = ({ log }: EventStoreDbServer) => log.records.filter(({ stream }) => stream === 's').length
  const expectations = ['any', 'stream exists', 'no stream', 2n, 5n] as const
  // A store of its own for each: what one of them has read must not help the next.
  const ways: readonly (readonly [string, (store: EventStore) => Promise<unknown>])[] = [
    ['a read', (store) => read(store)()],
    ['a read backwards', (store) => read(store, { direction: 'backwards' })()],
    ['a read as of a time', (store) => read(store, { untilTime: '2999-01-01T00:00:00Z' })()],
    ...expectations.map(
      (expected) =>
        [`an append at ${expected}`, (store: EventStore) => store.append(to('s', expected, newEvent()))] as const,
    ),
  ]

  test.each(
    [truncated, deleted, expired, tombstoned].flatMap(([how, damage]) =>
      ways.map(([way, attempt]) => [how, way, damage, attempt] as const),
    ),
  )('%s: %s ends with that, by a process that has not read it before', async (how, way, damage, attempt) => {
    const { server, store } = await cut()
    damage(server)
    const before = writesOf(server)
    await expect(attempt(store)).rejects.toMatchObject(damaged)
    // Who expects no stream has written to a deleted one before it shows.
    const isTakenForNew = how === 'deleted' && way === 'an append at no stream'
    expect(writesOf(server) - before).toBe(isTakenForNew ? 1 : 0)
  })

  test.each(
    [truncated, deleted, expired].flatMap(([how, damage]) =>
      (['any', 'stream exists', 5n] as const).map((at) => [how, at, damage] as const),
    ),
  )(
    '%s: a process that has read it before goes on after its last event (%s), and nowhere else',
    async (_, expected, damage) => {
      const { server, store } = await cut()
      await read(store)()
      damage(server)
      const append = to('s', expected, newEvent())
      expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 6n, repeated: false })
      expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 6n, repeated: true })
      await expect(read(store)()).rejects.toMatchObject(damaged)
      expect(await store.append(to('s', 2n, newEvent()))).toMatchObject({ outcome: 'conflict', actual: 6n })
    },
  )

  test.each(['any', 'stream exists', 5n] as const)(
    'deleted forever: it takes nothing from anyone (%s)',
    async (expected) => {
      const { server, store } = await cut()
      await read(store)()
      server.log.tombstone('s')
      const before = writesOf(server)
      await expect(store.append(to('s', expected, newEvent()))).rejects.toMatchObject(damaged)
      expect(writesOf(server)).toBe(before)
    },
  )

  test('truncated below what is read: that part is read', async () => {
    const { server, store } = await cut()
    server.log.truncate('s', 3n)
    expect(await read(store, { from: 3n })()).toHaveLength(3)
    expect(await read(store, { direction: 'backwards', limit: 2 })()).toHaveLength(2)
    await expect(read(store, { from: 2n })()).rejects.toMatchObject(damaged)
    await expect(read(store, { direction: 'backwards', limit: 5 })()).rejects.toMatchObject(damaged)
  })

  test.each([undefined, 'cut after', 'hang'] as const)(
    'deleted, and written to by one who takes it for a new one (%s): that is noticed',
    async (fault) => {
      const { server, store } = await cut()
      server.log.truncate('s', 'all')
      if (fault) server.failNextAppend(fault)
      await expect(store.append(to('s', 'no stream', newEvent()))).rejects.toMatchObject(damaged)
    },
  )

  test('never was one: it is empty', async () => {
    const { server, store } = await cut()
    server.log.truncate('another', 'all')
    expect(await collect(store.readStream('none'))).toEqual([])
    expect(await collect(store.readStream('none', { direction: 'backwards' }))).toEqual([])
  })
})
