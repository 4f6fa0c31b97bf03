import { afterEach, describe, expect, test } from '@jest/globals'
import type { Failure } from '../../../domain/errors.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { appendUntilAnswered, codeThrownBy, collect, idsOf, newEvent, newStream, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const begin = async (settleMs: number) => {
  const server: EventStoreDbServer = await startEventStoreDbServer()
  stops.push(server.stop)
  const failures: Failure[] = []
  const onReplaced = (failure: Failure) => failures.push(failure)
  const store = await openEventStoreDb({ url: server.url, settleMs, lookPauseMs: 10, onReplaced })
  stops.push(store.close)
  return { server, store, failures }
}

/** All that gRPC has for a call that failed. */
const statuses = [
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const

describe.each(statuses)('while a new connection answers reads with %s', (status) => {
  test('the log is not taken for another one, and all goes on when that is over', async () => {
    const { server, store, failures } = await begin(100)
    await store.append(to(newStream(), 'no stream', newEvent()))
    await server.restart()
    server.failReads(status)
    const append = to(newStream(), 'no stream', newEvent())
    expect(['LOG_REPLACED', 'EVENT_INVALID']).not.toContain(await codeThrownBy(() => store.append(append)))
    expect(server.log.streamOf(append.stream)).toEqual([])
    server.failReads(undefined)
    await appendUntilAnswered(store, append)
    expect(idsOf(await collect(store.readStream(append.stream)))).toEqual(append.events.map(({ id }) => id))
    expect(failures).toEqual([])
  })

  test('an append that was stored just before is open, and its repetition is one', async () => {
    const { server, store, failures } = await begin(600)
    await store.append(to(newStream(), 'no stream', newEvent()))
    const append = to(newStream(), 'no stream', newEvent())
    server.failNextAppend('cut after')
    server.failReads(status)
    expect(await codeThrownBy(() => store.append(append))).toBe('DATABASE_UNAVAILABLE')
    server.failReads(undefined)
    expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 0n, repeated: true })
    expect(failures).toEqual([])
  })
})

test.each(statuses.flatMap((status) => (['before', 'after'] as const).map((when) => [status, when] as const)))(
  'a call of many appends that ends with %s, %s one of them was stored: each is stored once',
  async (status, when) => {
    const { server, store } = await begin(30_000)
    await store.append(to(newStream(), 'no stream', newEvent()))
    const appends = Array.from({ length: 12 }, () => to(newStream(), 'no stream', newEvent()))
    const early = await Promise.all(appends.slice(0, 5).map(store.append))
    server.failNextAppend(`${status} ${when}`)
    const late = await Promise.all(appends.slice(5).map(store.append))
    for (const outcome of [...early, ...late]) expect(outcome).toMatchObject({ outcome: 'appended', revision: 0n })
    for (const { stream, events } of appends)
      expect(idsOf(await collect(store.readStream(stream)))).toEqual(events.map(({ id }) => id))
  },
)

test('a call that is denied before anything was answered has reached no append, and that is told', async () => {
  const { server } = await begin(30_000)
  // The first one has begun the log with an append.
  const store = await openEventStoreDb({ url: server.url, settleMs: 30_000 })
  stops.push(store.close)
  const append = to(newStream(), 'no stream', newEvent())
  server.failNextAppend('PERMISSION_DENIED before')
  expect(await codeThrownBy(() => store.append(append))).toBe('CONFIG_INVALID')
  expect(await store.append(append)).toMatchObject({ outcome: 'appended', repeated: false })
})
