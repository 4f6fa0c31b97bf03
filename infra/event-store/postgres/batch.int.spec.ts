import { describe, expect, test } from '@jest/globals'
import { collect, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { Appended, NewEvent } from '../port.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'
import type { WatchedDatabase } from './database.testing.ts'
import { givenOwnDatabase } from './store.testing.ts'

describe('a batch of appends on Postgres', () => {
  const given = givenOwnDatabase()

  /** A store whose batches are told: whether each was careful, and what was answered. */
  const openWatched = async () => {
    const batches: { careful: unknown; said: string }[] = []
    const query: WatchedDatabase['query'] = async (label, text, values, options) => {
      const rows = await given.door.query<readonly unknown[]>(label, text, values, options)
      if (label === 'eventStore.append') batches.push({ careful: values?.at(-1), said: String(rows[0]?.[0]) })
      return rows as never
    }
    const store = await given.open({ database: { ...given.door, query } })
    return { store, batches }
  }

  const isPlain = ({ said }: { readonly said: string }) => /^\d+$/.test(said)

  test('that all stand where they are expected is one plain answer', async () => {
    const { store, batches } = await openWatched()
    const [one, two] = [newStream(), newStream()]
    const appends = [to(one, 'no stream', ...newEvents(3)), to(two, 'no stream', newEvent())]
    expect(await Promise.all(appends.map(store.append))).toMatchObject([
      { outcome: 'appended', revision: 2n, repeated: false },
      { outcome: 'appended', revision: 0n, repeated: false },
    ])
    const next = [to(two, 0n, ...newEvents(2)), to(one, 2n, newEvent())]
    const answers = (await Promise.all(next.map(store.append))) as Appended[]
    expect(answers.map(({ revision }) => revision)).toEqual([2n, 3n])
    expect(batches.map(isPlain)).toEqual([true, true])
    const log = await collect(store.readAll())
    expect(answers.map(({ position }) => position)).toEqual([log[5]?.position, log[6]?.position])
    expect(idsOf(log)).toEqual([...appends, ...next].flatMap(({ events }) => idsOf(events)))
  })

  test.each<[string, (known: readonly NewEvent[], stream: string) => ReturnType<typeof to>, object]>([
    ['a revision that is taken', (_, stream) => to(stream, 0n, newEvent()), { outcome: 'conflict', actual: 1n }],
    [
      'a revision that is not there yet',
      (_, stream) => to(stream, 7n, newEvent()),
      { outcome: 'conflict', actual: 1n },
    ],
    ['a stream that is there', (_, stream) => to(stream, 'no stream', newEvent()), { outcome: 'conflict', actual: 1n }],
    ['a repetition', (known, stream) => to(stream, 'no stream', ...known), { repeated: true, revision: 1n }],
    ['any revision', (_, stream) => to(stream, 'any', newEvent()), { repeated: false, revision: 2n }],
  ])('with %s among them: the others are appended, and nothing remains of a first attempt', async (_, make, answer) => {
    const { store, batches } = await openWatched()
    const stream = newStream()
    const known = newEvents(2)
    await store.append(to(stream, 'no stream', ...known))
    const others = newEvents(4).map((event) => to(newStream(), 'no stream', event))
    const all = [...others.slice(0, 2), make(known, stream), ...others.slice(2)]
    const answers = await Promise.all(all.map(store.append))
    expect(answers[2]).toMatchObject(answer)
    const log = await collect(store.readAll())
    const written = all.flatMap((append, index) =>
      index === 2 && !('repeated' in answer && !answer.repeated) ? [] : idsOf(append.events),
    )
    expect(idsOf(log).sort()).toEqual([...idsOf(known), ...written].sort())
    // Not one position was lost by the attempt.
    expect(store.distance(store.start, await store.head())).toBe(log.length)
    expect(batches.map(isPlain)).toEqual([true, false])
  })

  test('is careful for ten after a conflict, and tries again then', async () => {
    const { store, batches } = await openWatched()
    const stream = newStream()
    await store.append(to(stream, 'no stream', newEvent()))
    await store.append(to(stream, 'no stream', newEvent()))
    for (let n = 0; n < 11; n++) await store.append(to(newStream(), 'no stream', newEvent()))
    expect(batches.map(({ careful }) => careful)).toEqual([false, false, ...Array(10).fill(true), false])
    expect(batches.map(isPlain)).toEqual([true, false, ...Array(10).fill(false), true])
  })

  test('is not taken in another isolation level, where two creates of a stream would not see each other', async () => {
    await given.open({ database: given.door })
    const client = await given.own.connect()
    await client.query('begin isolation level repeatable read')
    const empty = `'{}'::text[], '{}', '{}', '{1}', '{}', '{}', '{}', '{}', '{}'`
    await expect(client.query(`select log.append_batch(${empty}, false)`)).rejects.toThrow('read committed')
  })

  test('of a program of the version before goes on beside ours, in one order', async () => {
    const store = await given.open({ database: given.door })
    const before = async (event: NewEvent) => {
      const client = await given.own.connect()
      await client.query('select * from log.append($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
        textArray([newStream()]),
        bigintArray([-1n]),
        intArray([1]),
        intArray([1, 2]),
        intArray([1]),
        uuidArray([event.id]),
        textArray([event.type]),
        jsonArray([JSON.stringify(event.data)]),
        jsonArray([JSON.stringify(event.metadata)]),
      ])
      await client.end()
    }
    const events = newEvents(20)
    await Promise.all(
      events.map((event, n) => (n % 2 ? before(event) : store.append(to(newStream(), 'no stream', event)))),
    )
    const log = await collect(store.readAll())
    expect(new Set(idsOf(log))).toEqual(new Set(idsOf(events)))
    expect(store.distance(store.start, await store.head())).toBe(20)
  })
})
