import { describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { Appended } from '../port.ts'
import { createSpecDatabase } from './database.testing.ts'
import { useStoreFixture } from './store.testing.ts'

describe('event store on Postgres beside other clients of the database', () => {
  const fixture = useStoreFixture()

  describe('two processes on one database', () => {
    test('of two creates of one stream one is accepted', async () => {
      const [one, two] = [await fixture.openStore(), await fixture.openStore()]
      for (let round = 0; round < 20; round += 1) {
        const stream = newStream()
        const answers = await Promise.all([one, two].map((store) => store.append(to(stream, 'no stream', newEvent()))))
        expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['appended', 'conflict'])
      }
    })

    test('the same append from both at once is stored once, with one outcome', async () => {
      const [one, two] = [await fixture.openStore(), await fixture.openStore()]
      for (let round = 0; round < 20; round += 1) {
        const append = to(newStream(), 'any', ...newEvents(3))
        const answers = await Promise.all([one.append(append), two.append(append)])
        expect(answers.map((answer) => 'repeated' in answer && answer.repeated).sort()).toEqual([false, true])
        expect(answers[0]).toMatchObject({ position: (answers[1] as Appended).position, revision: 2n })
      }
    })

    test.each([1, 100])(
      'a third tails both in batches of %i: none skipped, none twice, in order',
      async (batchSize) => {
        const [one, two, third] = [await fixture.openStore(), await fixture.openStore(), await fixture.openStore()]
        const share = 40
        const appendAll = async (appender: number) => {
          const store = appender % 2 ? one : two
          for (let n = 0; n < share; n += 1)
            await store.append(to(`s-${appender}`, n === 0 ? 'no stream' : BigInt(n - 1), newEvent()))
        }
        const [events] = await Promise.all([
          eventsUntil(third, { batchSize, signal: fixture.stop.signal }, 32 * share),
          ...Array.from({ length: 32 }, (_, appender) => appendAll(appender)),
        ])
        expect(events).toEqual(await collect(third.readAll()))
        expect(new Set(idsOf(events)).size).toBe(32 * share)
      },
    )

    test('NOTIFY wakes the other process long before its poll', async () => {
      const [one, two] = [await fixture.openStore(), await fixture.openStore({ pollMs: 3_600_000 })]
      const tailed = eventsUntil(two, { signal: fixture.stop.signal }, 2)
      await one.append(to(newStream(), 'any', newEvent()))
      await one.append(to(newStream(), 'any', newEvent()))
      expect(await tailed).toHaveLength(2)
    })

    test('a process that is alone sends no NOTIFY, and the next one is woken by it all the same', async () => {
      let announced = 0
      const database: typeof fixture.database = {
        ...fixture.database,
        query: (label, ...asked) => {
          if (label === 'eventStore.announce') announced += 1
          return fixture.database.query(label, ...asked)
        },
      }
      const one = await fixture.openStore({ database, announcing: { answerMsMax: 1 } })
      const own = eventsUntil(one, { signal: fixture.stop.signal }, 1)
      const append = () => one.append(to(newStream(), 'any', newEvent()))
      await append()
      await own
      await eventually('nothing to be announced', async () => {
        const before = announced
        for (let n = 0; n < 3; n += 1) await append()
        return announced === before
      })
      const two = await fixture.openStore({ pollMs: 3_600_000 })
      const after = await two.head()
      const tailed = eventsUntil(two, { after, signal: fixture.stop.signal }, 2)
      await append()
      await append()
      expect(await tailed).toHaveLength(2)
    })

    test('without NOTIFY the poll alone wakes it', async () => {
      const withoutListen = { ...fixture.database, listen: () => Promise.reject(new Error('no listening here')) }
      const two = await fixture.openStore({ database: withoutListen, pollMs: 20 })
      const tailed = eventsUntil(two, { signal: fixture.stop.signal }, 1)
      await (await fixture.openStore()).append(to(newStream(), 'any', newEvent()))
      expect(await tailed).toHaveLength(1)
    })
  })

  test('an append wakes the subscribers of its own process without NOTIFY and without poll', async () => {
    const withoutListen = { ...fixture.database, listen: () => Promise.reject(new Error('no listening here')) }
    const store = await fixture.openStore({ database: withoutListen, pollMs: 3_600_000 })
    const tailed = eventsUntil(store, { signal: fixture.stop.signal }, 2)
    for (const event of newEvents(2)) await store.append(to(newStream(), 'any', event))
    expect(await tailed).toHaveLength(2)
  })

  test.each(['in another database', 'in this one'])('an idle transaction %s does not stop the tail', async (where) => {
    const other = where === 'in this one' ? fixture.specDatabase : await createSpecDatabase()
    const idle = await other.connect()
    await idle.query('begin; create table idle (id int); select pg_current_xact_id()')
    const [one, two] = [await fixture.openStore(), await fixture.openStore()]
    const tailed = eventsUntil(two, { signal: fixture.stop.signal }, 3)
    for (const event of newEvents(3)) await one.append(to(newStream(), 'any', event))
    expect(await tailed).toHaveLength(3)
    await idle.query('rollback')
    if (other !== fixture.specDatabase) await other.drop()
  })
})
