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

  test.each([
    ['truncated', ({ log }: EventStoreDbServer) => log.truncate('s', 3n)],
    ['deleted', ({ log }: EventStoreDbServer) => log.truncate('s', 'all')],
    ['deleted forever', ({ log }: EventStoreDbServer) => log.tombstone('s')],
  ])('%s: it is read by nobody as if it were whole, and nothing is written to it', async (_, damage) => {
    const { server, store } = await cut()
    damage(server)
    await expect(read(store)()).rejects.toMatchObject(damaged)
    await expect(read(store, { direction: 'backwards' })()).rejects.toMatchObject(damaged)
    await expect(read(store, { untilTime: '2999-01-01T00:00:00Z' })()).rejects.toMatchObject(damaged)
    const writes = () => server.log.records.filter(({ stream }) => stream === 's').length
    const before = writes()
    for (const expected of ['any', 'stream exists', 'no stream'] as const)
      await expect(store.append(to('s', expected, newEvent()))).rejects.toMatchObject(damaged)
    // Who expects no stream has written to a deleted one before it shows.
    expect(writes() - before).toBeLessThanOrEqual(1)
  })

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
