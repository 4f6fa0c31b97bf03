import { describe, expect, test } from '@jest/globals'
import { collect, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { Appended, NewEvent } from '../port.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'
import type { ObservedDatabase } from './database.testing.ts'
import { useStoreFixture } from './store.testing.ts'

describe('a batch of appends on Postgres', () => {
  const fixture = useStoreFixture()

  /** Opens a store and records its statements: the function, and its result. */
  const openObserved = async () => {
    const batches: { called: string | undefined; result: string }[] = []
    const query: ObservedDatabase['query'] = async (label, text, values, options) => {
      const rows = await fixture.database.query<readonly unknown[]>(label, text, values, options)
      if (label === 'eventStore.append')
        batches.push({ called: /log\.(\w+)/.exec(text)?.[1], result: String(rows[0]?.[0]) })
      return rows as never
    }
    const store = await fixture.openStore({ database: { ...fixture.database, query } })
    return { store, batches }
  }

  const isOptimistic = ({ result }: { readonly result: string }) => /^\d+$/.test(result)
  const calledOf = (batches: readonly { readonly called: string | undefined }[]) => batches.map(({ called }) => called)

  test('with all streams at their expected revisions is one optimistic insert', async () => {
    const { store, batches } = await openObserved()
    const [one, two] = [newStream(), newStream()]
    const appends = [to(one, 'no stream', ...newEvents(3)), to(two, 'no stream', newEvent())]
    expect(await Promise.all(appends.map(store.append))).toMatchObject([
      { outcome: 'appended', revision: 2n, repeated: false },
      { outcome: 'appended', revision: 0n, repeated: false },
    ])
    const next = [to(two, 0n, ...newEvents(2)), to(one, 2n, newEvent())]
    const answers = (await Promise.all(next.map(store.append))) as Appended[]
    expect(answers.map(({ revision }) => revision)).toEqual([2n, 3n])
    expect(batches.map(isOptimistic)).toEqual([true, true])
    const log = await collect(store.readAll())
    expect(answers.map(({ position }) => position)).toEqual([log[5]?.position, log[6]?.position])
    expect(idsOf(log)).toEqual([...appends, ...next].flatMap(({ events }) => idsOf(events)))
  })

  test.each<[string, (known: readonly NewEvent[], stream: string) => ReturnType<typeof to>, object]>([
    ['a revision that is taken', (_, stream) => to(stream, 0n, newEvent()), { outcome: 'conflict', actual: 1n }],
    [
      'a revision that does not exist yet',
      (_, stream) => to(stream, 7n, newEvent()),
      { outcome: 'conflict', actual: 1n },
    ],
    ['a stream that exists', (_, stream) => to(stream, 'no stream', newEvent()), { outcome: 'conflict', actual: 1n }],
    ['a repetition', (known, stream) => to(stream, 'no stream', ...known), { repeated: true, revision: 1n }],
    ['any revision', (_, stream) => to(stream, 'any', newEvent()), { repeated: false, revision: 2n }],
  ])(
    'with %s among them: the others are appended, and nothing remains of the first attempt',
    async (_, make, result) => {
      const { store, batches } = await openObserved()
      const stream = newStream()
      const known = newEvents(2)
      await store.append(to(stream, 'no stream', ...known))
      const others = newEvents(4).map((event) => to(newStream(), 'no stream', event))
      const all = [...others.slice(0, 2), make(known, stream), ...others.slice(2)]
      const answers = await Promise.all(all.map(store.append))
      expect(answers[2]).toMatchObject(result)
      const log = await collect(store.readAll())
      const written = all.flatMap((append, index) =>
        index === 2 && !('repeated' in result && !result.repeated) ? [] : idsOf(append.events),
      )
      expect(idsOf(log).sort()).toEqual([...idsOf(known), ...written].sort())
      // The failed attempt used up no position.
      expect(store.distance(store.start, await store.head())).toBe(log.length)
      expect(batches.map(isOptimistic)).toEqual(batches.map((_, index) => index === 0))
      expect(batches.at(-1)?.called).toBe('append_batch')
    },
  )

  test('is pessimistic for ten batches after a conflict, then optimistic again', async () => {
    const { store, batches } = await openObserved()
    const stream = newStream()
    await store.append(to(stream, 'no stream', newEvent()))
    await store.append(to(stream, 'no stream', newEvent()))
    for (let n = 0; n < 11; n++) await store.append(to(newStream(), 'no stream', newEvent()))
    const [fast, slow] = ['append_expected', 'append_batch']
    expect(calledOf(batches)).toEqual([fast, fast, slow, ...Array(10).fill(slow), fast])
    expect(batches.map(isOptimistic)).toEqual([true, false, false, ...Array(10).fill(false), true])
  })

  test('at a revision that this process has appended and another one has gone beyond: a conflict, and no gap', async () => {
    const [{ store }, other] = [await openObserved(), await fixture.openStore()]
    const [one, two] = [newStream(), newStream()]
    await Promise.all([one, two].map((stream) => store.append(to(stream, 'no stream', newEvent()))))
    await other.append(to(one, 0n, newEvent()))
    const answers = await Promise.all([one, two].map((stream) => store.append(to(stream, 0n, ...newEvents(2)))))
    expect(answers).toMatchObject([
      { outcome: 'conflict', actual: 1n },
      { outcome: 'appended', revision: 2n },
    ])
    expect((await collect(store.readStream(two))).map(({ revision }) => revision)).toEqual([0n, 1n, 2n])
    expect(await collect(store.readStream(one))).toHaveLength(2)
  })

  test('comes behind what another process has appended since', async () => {
    const [{ store, batches }, other] = [await openObserved(), await fixture.openStore()]
    await store.append(to(newStream(), 'no stream', newEvent()))
    await other.append(to(newStream(), 'no stream', newEvent()))
    const last = await store.append(to(newStream(), 'no stream', newEvent()))
    expect(last).toMatchObject({ outcome: 'appended', position: await store.head() })
    expect(batches.map(({ result }) => result)).toEqual(['0', '2'])
  })

  test('is refused in another isolation level, where two creates of a stream would not see each other', async () => {
    await fixture.openStore({ database: fixture.database })
    const client = await fixture.specDatabase.connect()
    await client.query('begin isolation level repeatable read')
    const empty = `'{}'::text[], '{}', '{}', '{1}', '{}', '{}', '{}', '{}', '{}'`
    await expect(client.query(`select log.append_batch(${empty}, false)`)).rejects.toThrow('read committed')
    await client.query('rollback; begin isolation level repeatable read')
    const nothing = `'{}'::text[], '{}', '{}', '{}', '{}', '{}', '{}', '{}', null, null, ''`
    await expect(client.query(`select log.append_expected(${nothing})`)).rejects.toThrow('read committed')
  })

  test('of a program of the version before runs at the same time as ours, in one order', async () => {
    const store = await fixture.openStore({ database: fixture.database })
    const before = async (event: NewEvent) => {
      const client = await fixture.specDatabase.connect()
      await client.query('select log.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, false)', [
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
