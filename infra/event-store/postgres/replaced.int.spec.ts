import { describe, expect, test } from '@jest/globals'
import type { Failure } from '../../../domain/errors.ts'
import { eventually } from '../../../testing/eventually.ts'
import { codeThrownBy, collect, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { EventStore, NewEvent } from '../port.ts'
import { openPostgresEventStore } from '../postgres.ts'
import { useStoreFixture } from './store.testing.ts'

/** Lets a session change what is append-only. */
const unprotected = 'alter table log.events disable trigger append_only'

describe('a log in PostgreSQL that is put back or replaced under an open store', () => {
  const fixture = useStoreFixture()

  const open = async (pollMs = 20) => {
    const failures: Failure[] = []
    const store = await openPostgresEventStore({
      database: fixture.specDatabase.open(),
      pollMs,
      lookPauseMs: 20,
      onReplaced: (failure) => failures.push(failure),
    })
    fixture.stop.signal.addEventListener('abort', () => void store.close())
    return { store, failures }
  }
  const admin = async (...statements: string[]) => {
    const client = await fixture.specDatabase.connect()
    const results = []
    for (const statement of statements) results.push((await client.query(statement)).rows)
    await client.end()
    return results
  }
  const countEvents = async () => (await admin('select count(*)::int as n from log.events'))[0]?.[0]?.n
  const append = (store: EventStore, ...events: NewEvent[]) => store.append(to(newStream(), 'no stream', ...events))

  const ways: [string, string[], number][] = [
    ['put back to an earlier state', [unprotected, 'delete from log.events where position > 3'], 3],
    ['emptied', [unprotected, 'truncate log.events'], 0],
    [
      'put back, and others have written since',
      [
        unprotected,
        'delete from log.events where position > 3',
        `insert into log.events select n, n, now(), gen_random_uuid(), 'other', 'Happened', '{}', '{}' from generate_series(4, 20) n`,
      ],
      20,
    ],
    [
      'replaced by another one of the same length',
      [unprotected, 'update log.events set event_id = gen_random_uuid()'],
      6,
    ],
  ]

  const stream = 'before'
  const paths: Record<string, (store: EventStore) => Promise<unknown>> = {
    ...Object.fromEntries(
      (['no stream', 'any', 5n, 'stream exists'] as const).map((expected) => [
        `an append expecting ${expected}`,
        (store: EventStore) => store.append(to(stream, expected, newEvent())),
      ]),
    ),
    'an append to another stream': (store) => append(store, newEvent()),
    'an append of many': (store) =>
      store.appendToMany([to(newStream(), 'no stream', newEvent()), to(stream, 'any', newEvent())]),
    readAll: (store) => collect(store.readAll()),
    'readAll backwards': (store) => collect(store.readAll({ direction: 'backwards', limit: 1 })),
    readStream: (store) => collect(store.readStream(stream)),
    'readStream of a stream that never was': (store) => collect(store.readStream(newStream())),
    head: (store) => store.head(),
  }

  test.each(ways)('%s: nothing is written, nothing is read, and it says so', async (_, statements, eventsLeft) => {
    await fixture.openStore().then((store) => store.append(to(stream, 'no stream', ...newEvents(6))))
    // A store of its own for each: what one has found, it does not look for again.
    const opened = await Promise.all(
      Object.entries(paths).map(async ([path, ask]) => {
        const { store, failures } = await open()
        await collect(store.readStream(stream))
        return { path, store, failures, ask }
      }),
    )
    await admin(...statements)
    for (const { path, store, failures, ask } of opened) {
      expect([path, await codeThrownBy(() => ask(store))]).toEqual([path, 'LOG_REPLACED'])
      expect([path, await codeThrownBy(store.head)]).toEqual([path, 'LOG_REPLACED'])
      expect(failures).toHaveLength(1)
      await store.close()
    }
    expect(await countEvents()).toBe(eventsLeft)
  })

  test.each(ways)('%s: a subscription ends with it, without an event of the other log', async (_, statements) => {
    const { store } = await open()
    const events = newEvents(6)
    await store.append(to(newStream(), 'no stream', ...events))
    const seen: string[] = []
    const code = codeThrownBy(async () => {
      for await (const batch of store.subscribe({ signal: fixture.stop.signal })) seen.push(...idsOf(batch.events))
    })
    await eventually('the events', () => seen.length === 6)
    await admin(...statements)
    expect(await code).toBe('LOG_REPLACED')
    expect(seen).toEqual(idsOf(events))
  })

  const gone: [string, string[]][] = [
    ['a database of the same name without a log answers', ['drop schema log cascade']],
    [
      'a database of another program answers, which has a schema of that name',
      ['drop schema log cascade', 'create schema log', 'create table log.entries ()'],
    ],
  ]

  test.each(gone)('%s: all that uses the log finds that', async (_, statements) => {
    await fixture.openStore().then((store) => store.append(to(stream, 'no stream', ...newEvents(6))))
    const opened = await Promise.all(
      Object.entries(paths).map(async ([path, ask]) => ({ path, ask, ...(await open()) })),
    )
    for (const { store } of opened) await collect(store.readStream(stream))
    const { store: empty, failures } = await open()
    const followed = opened.slice(0, 1).map(({ store }) =>
      codeThrownBy(async () => {
        for await (const _batch of store.subscribe({ signal: fixture.stop.signal }));
      }),
    )
    await admin(...statements)
    for (const { path, store, ask } of opened)
      expect([path, await codeThrownBy(() => ask(store))]).toEqual([path, 'LOG_REPLACED'])
    expect(await Promise.all(followed)).toEqual(['LOG_REPLACED'])
    expect(await codeThrownBy(() => append(empty, newEvent()))).toBe('LOG_REPLACED')
    expect(failures).toHaveLength(1)
  })

  test('a log whose table of events alone is missing is no other log: what it lacks is named', async () => {
    const { store, failures } = await open()
    await append(store, newEvent())
    await admin('alter table log.events rename to elsewhere')
    await expect(store.head()).rejects.toMatchObject({ code: '42P01' })
    await admin('alter table log.elsewhere rename to events')
    expect(await collect(store.readAll())).toHaveLength(1)
    expect(failures).toEqual([])
  })

  test('a log without an event that is replaced by another one is noticed before the first append', async () => {
    const { store } = await open()
    await admin('alter table log.store disable trigger append_only', `update log.store set id = 'another'`)
    // What was never there cannot be missed; but no event gets positions of the former log.
    expect(await codeThrownBy(() => append(store, newEvent()))).toBe('LOG_REPLACED')
    expect(await countEvents()).toBe(0)
  })

  test('what was read counts as well as what was written, also by the smallest read', async () => {
    const [{ store }, writer] = [await open(), await fixture.openStore()]
    const stream = newStream()
    await writer.append(to(stream, 'no stream', ...newEvents(4)))
    expect(await collect(store.readStream(stream, { direction: 'backwards', limit: 1 }))).toHaveLength(1)
    await admin(unprotected, 'delete from log.events where position = 4')
    expect(await codeThrownBy(() => append(store, newEvent()))).toBe('LOG_REPLACED')
  })
})
