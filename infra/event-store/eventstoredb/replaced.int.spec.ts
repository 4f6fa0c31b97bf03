import { EventStoreDBClient } from '@eventstore/db-client'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../../domain/errors.ts'
import { createServerLog, type ServerLog } from '../../../testing/eventstoredb/log.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import type { Release } from '../../../testing/eventstoredb/sizes.ts'
import { eventually } from '../../../testing/eventually.ts'
import {
  appendUntilAnswered,
  codeThrownBy,
  collect,
  eventsUntil,
  idsOf,
  newEvent,
  newEvents,
  newStream,
  to,
} from '../contract.ts'
import { beginEpochOnServer, openEventStoreDb } from '../eventstoredb.ts'
import type { EventStore, ExpectedRevision, NewEvent } from '../port.ts'
import { nextEpochName } from '../position.ts'

const isOurStream = (stream: string) => stream.startsWith('case-')

describe('a log on EventStoreDB that is put back or replaced under an open store', () => {
  const stops: (() => Promise<unknown>)[] = []
  const stop = new AbortController()
  afterEach(async () => {
    for (const each of stops.splice(0).reverse()) await each()
  })

  const begin = async (release: Release = '25.0') => {
    const server = await startEventStoreDbServer({ release })
    stops.push(server.stop)
    const failures: Failure[] = []
    const store = await openEventStoreDb({
      url: server.url,
      lookPauseMs: 20,
      // However slow the machine is: an append ends with what the look has found.
      settleMs: 60_000,
      onReplaced: (failure) => failures.push(failure),
    })
    stops.push(store.close)
    return { server, store, failures }
  }
  const open = async (server: EventStoreDbServer): Promise<EventStore> => {
    const store = await openEventStoreDb({ url: server.url })
    stops.push(store.close)
    return store
  }
  const backupOf = ({ log }: EventStoreDbServer) => [...log.records]
  const ourEvents = ({ log }: EventStoreDbServer) => log.records.filter(({ stream }) => isOurStream(stream)).length

  /** Resolves to a log in which others have written after a backup, or from its beginning. */
  const written = async (backup: ReturnType<typeof backupOf>, ...events: readonly NewEvent[]) => {
    const server = await startEventStoreDbServer({ log: createServerLog(backup) })
    const store = await openEventStoreDb({ url: server.url })
    for (const event of events) await store.append(to(newStream('other'), 'no stream', event))
    await store.close()
    await server.stop()
    return server.log
  }
  /** Returns an event of such a size that no other begins within: the position of each that was lost is none there. */
  const largeEvent = () => newEvent('Happened', { text: 'x'.repeat(20_000) })

  /** Another log than the one after `backup`: each is what a server may have at the same address. */
  const others: [string, (backup: ReturnType<typeof backupOf>) => Promise<ServerLog>][] = [
    ['put back to an earlier state', async (backup) => createServerLog(backup)],
    ['replaced by an empty one', async () => createServerLog()],
    ['put back, and others have written since', (backup) => written(backup, ...newEvents(40))],
    ['put back, and others have written one large event since', (backup) => written(backup, largeEvent())],
    ['replaced by that of another platform, which is longer', () => written([], ...newEvents(40))],
    ['replaced by that of another platform with a large event', () => written([], largeEvent())],
  ]

  const appendAt = (expected: ExpectedRevision) => (store: EventStore, stream: string) =>
    store.append(to(stream, expected, newEvent()))
  /** What may be the first to meet the other log. */
  const ways: readonly (readonly [string, (store: EventStore, stream: string) => Promise<unknown>])[] = [
    ['a read', (store, stream) => collect(store.readStream(stream))],
    ['a read of all', (store) => collect(store.readAll())],
    ['the head', (store) => store.head()],
    ['an append to a new stream', (store) => store.append(to(newStream(), 'no stream', newEvent()))],
    ['an append at the last revision', appendAt(3n)],
    ['an append at the last revision that is left', appendAt(1n)],
    ['an append at any revision', appendAt('any')],
    ['an append where there is a stream', appendAt('stream exists')],
  ]

  const releases = ['23.10', '25.0'] as const
  const everyOther = releases.flatMap((release) => others.map(([name, other]) => [release, name, other] as const))

  test.each(
    everyOther.flatMap(([release, name, other]) =>
      ways.map(([way, first]) => [release, name, way, other, first] as const),
    ),
  )(
    'version %s, %s: %s is the first to meet it, and from then on nothing is written and nothing is read',
    async (release, _, __, other, first) => {
      const { server, store, failures } = await begin(release)
      const stream = newStream()
      await store.append(to(stream, 'no stream', ...newEvents(2)))
      const backup = backupOf(server)
      await store.append(to(stream, 1n, ...newEvents(2)))
      await server.replaceLog(await other(backup))
      const before = ourEvents(server)
      expect(await codeThrownBy(() => first(store, stream))).toBe('LOG_REPLACED')
      for (const [, next] of ways) expect(await codeThrownBy(() => next(store, stream))).toBe('LOG_REPLACED')
      expect(ourEvents(server)).toBe(before)
      expect(failures).toHaveLength(1)
    },
  )

  test.each(everyOther)(
    'version %s, %s: a subscription ends with it, without an event of the other log',
    async (release, _, other) => {
      const { server, store } = await begin(release)
      const stream = newStream()
      const events = newEvents(4)
      await store.append(to(stream, 'no stream', ...events.slice(0, 2)))
      const backup = backupOf(server)
      await store.append(to(stream, 1n, ...events.slice(2)))
      const seen: string[] = []
      const code = codeThrownBy(async () => {
        for await (const batch of store.subscribe({ signal: stop.signal })) seen.push(...idsOf(batch.events))
      })
      await eventually('the events', () => seen.length === 4)
      await server.replaceLog(await other(backup))
      expect(await code).toBe('LOG_REPLACED')
      expect(seen).toEqual(idsOf(events))
    },
  )

  test.each(releases)(
    'version %s: metadata that cut nothing, set before the first event of a stream, hide no loss of it',
    async (release) => {
      const { server, store, failures } = await begin(release)
      const stream = newStream()
      const client = EventStoreDBClient.connectionString(server.url)
      await client.setStreamMetadata(stream, { acl: { readRoles: ['$all'] } })
      await client.dispose()
      const backup = backupOf(server)
      await store.append(to(newStream(), 'no stream', newEvent()))
      await store.append(to(stream, 'no stream', newEvent()))
      await server.replaceLog(await written(backup, largeEvent()))
      expect(await codeThrownBy(() => collect(store.readStream(stream)))).toBe('LOG_REPLACED')
      expect(failures).toHaveLength(1)
    },
  )

  test('an event whose id was given in capitals is known as the log has it', async () => {
    const { server, store, failures } = await begin()
    const stream = newStream()
    const event = newEvent()
    await store.append(to(stream, 'no stream', { ...event, id: event.id.toUpperCase() }))
    await server.restart()
    await appendUntilAnswered(store, to(stream, 0n, newEvent()))
    expect(idsOf(await collect(store.readStream(stream)))[0]).toBe(event.id)
    expect(failures).toEqual([])
  })

  test('a process that has read and written nothing knows the log by its identity', async () => {
    const { server, store } = await begin()
    await server.replaceLog(createServerLog())
    expect(await codeThrownBy(() => store.append(to(newStream(), 'no stream', newEvent())))).toBe('LOG_REPLACED')
    expect(ourEvents(server)).toBe(0)
  })

  test('a restart, a dropped connection and another leader that lost nothing pass', async () => {
    const { server, store, failures } = await begin()
    const stream = newStream()
    await appendUntilAnswered(store, to(stream, 'no stream', newEvent()))
    for (let round = 0n; round < 3n; round += 1n) {
      await server.restart()
      await appendUntilAnswered(store, to(stream, round, newEvent()))
    }
    const second = await startEventStoreDbServer({ log: server.log })
    stops.push(second.stop)
    server.follow(second)
    await appendUntilAnswered(store, to(stream, 3n, newEvent()))
    expect(await collect(store.readStream(stream))).toHaveLength(5)
    expect(failures).toEqual([])
  })

  test('another leader that lost the tail is noticed, also by a process that only reads', async () => {
    const { server, store } = await begin()
    const writer = await open(server)
    const stream = newStream()
    await writer.append(to(stream, 'no stream', newEvent()))
    const follower = await startEventStoreDbServer({ log: createServerLog(backupOf(server)) })
    stops.push(follower.stop)
    await writer.append(to(stream, 0n, newEvent()))
    expect(await collect(store.readStream(stream))).toHaveLength(2)
    server.follow(follower)
    expect(await codeThrownBy(() => collect(store.readStream(stream)))).toBe('LOG_REPLACED')
  })

  test.each(['append', 'head'] as const)(
    'behind a proxy that breaks no connection it is noticed by an answer behind what is known (%s)',
    async (first) => {
      const { server, store } = await begin()
      await store.append(to(newStream(), 'no stream', ...newEvents(2)))
      const backup = backupOf(server)
      for (let n = 0; n < 20; n += 1) await store.append(to(newStream(), 'no stream', newEvent()))
      server.swapLog(createServerLog(backup))
      if (first === 'head') expect(await codeThrownBy(store.head)).toBe('LOG_REPLACED')
      const before = ourEvents(server)
      for (let n = 0; n < 3; n += 1)
        expect(await codeThrownBy(() => store.append(to(newStream(), 'no stream', newEvent())))).toBe('LOG_REPLACED')
      // The first append has shown it.
      expect(ourEvents(server) - before).toBe(first === 'append' ? 1 : 0)
    },
  )

  test('adopted, it goes on in a new epoch: above what was lost, and what was lost is refused with that reason', async () => {
    const { server, store } = await begin()
    const stream = newStream()
    await store.append(to(stream, 'no stream', ...newEvents(3)))
    const before = await collect(store.readAll())
    const backup = backupOf(server)
    await store.append(to(stream, 2n, ...newEvents(2)))
    const lost = (await collect(store.readAll())).slice(3).map(({ position }) => position)
    for (const round of [1, 2]) {
      await server.replaceLog(createServerLog(backup))
      for (let n = 0; n < round; n += 1) await beginEpochOnServer(server.url, nextEpochName(n, lost))
      const adopted = await open(server)
      await adopted.append(to(stream, 2n, ...newEvents(4)))
      const all = await collect(adopted.readAll())
      const positions = all.map(({ position }) => position)
      expect(all.slice(0, 3)).toEqual(before)
      expect(positions.toSorted()).toEqual(positions)
      expect((positions[3] ?? '') > (lost.toSorted().at(-1) ?? '')).toBe(true)
      for (const [index, { position }] of before.entries())
        expect(await collect(adopted.readAll({ after: adopted.parsePosition(position) }))).toEqual(all.slice(index + 1))
      for (const position of lost) expect(() => adopted.parsePosition(position)).toThrow(/put back to an earlier state/)
      expect(await eventsUntil(adopted, {}, all.length)).toEqual(all)
      expect(await adopted.head()).toBe(positions.at(-1))
      lost.push(...positions.slice(3))
    }
  })

  test.each(['truncate', 'expire', 'tombstone', 'tombstone and scavenge'] as const)(
    'a stream that an operator cuts (%s) is no other log, though the latest event was in it',
    async (how) => {
      const { server, store, failures } = await begin()
      const stream = newStream()
      await store.append(to(stream, 'no stream', ...newEvents(3)))
      if (how === 'truncate') server.log.truncate(stream, 'all')
      else if (how === 'expire') server.log.expire(stream)
      else server.log.tombstone(stream)
      if (how === 'tombstone and scavenge') server.log.scavenge()
      await server.restart()
      await appendUntilAnswered(store, to(newStream(), 'no stream', newEvent()))
      expect(await codeThrownBy(() => collect(store.readStream(stream)))).toBe('STREAM_DAMAGED')
      expect(failures).toEqual([])
    },
  )
})
