import { describe, expect, test } from '@jest/globals'
import { collect, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import type { Appended } from '../port.ts'
import { createSpecDatabase } from './database.testing.ts'
import { givenOwnDatabase, tail } from './store.testing.ts'

describe('event store on Postgres beside others', () => {
  const given = givenOwnDatabase()

  describe('two processes on one database', () => {
    test('of two creates of one stream one is accepted', async () => {
      const [one, two] = [await given.open(), await given.open()]
      for (let round = 0; round < 20; round += 1) {
        const stream = newStream()
        const answers = await Promise.all([one, two].map((store) => store.append(to(stream, 'no stream', newEvent()))))
        expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['appended', 'conflict'])
      }
    })

    test('the same append from both at once gives one answer', async () => {
      const [one, two] = [await given.open(), await given.open()]
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
        const [one, two, third] = [await given.open(), await given.open(), await given.open()]
        const share = 40
        const appendAll = async (appender: number) => {
          const store = appender % 2 ? one : two
          for (let n = 0; n < share; n += 1)
            await store.append(to(`s-${appender}`, n === 0 ? 'no stream' : BigInt(n - 1), newEvent()))
        }
        const [events] = await Promise.all([
          tail(third, 32 * share, { batchSize, signal: given.stop.signal }),
          ...Array.from({ length: 32 }, (_, appender) => appendAll(appender)),
        ])
        expect(events).toEqual(await collect(third.readAll()))
        expect(new Set(idsOf(events)).size).toBe(32 * share)
      },
    )

    test('NOTIFY wakes the other long before its poll', async () => {
      const [one, two] = [await given.open(), await given.open({ pollMs: 3_600_000 })]
      const tailed = tail(two, 2, { signal: given.stop.signal })
      await one.append(to(newStream(), 'any', newEvent()))
      await one.append(to(newStream(), 'any', newEvent()))
      expect(await tailed).toHaveLength(2)
    })

    test('without NOTIFY the poll alone does it', async () => {
      const deaf = { ...given.door, listen: () => Promise.reject(new Error('no listening here')) }
      const two = await given.open({ database: deaf, pollMs: 20 })
      const tailed = tail(two, 1, { signal: given.stop.signal })
      await (await given.open()).append(to(newStream(), 'any', newEvent()))
      expect(await tailed).toHaveLength(1)
    })
  })

  test('an append wakes the subscribers of its own process without NOTIFY and without poll', async () => {
    const deaf = { ...given.door, listen: () => Promise.reject(new Error('no listening here')) }
    const store = await given.open({ database: deaf, pollMs: 3_600_000 })
    const tailed = tail(store, 2, { signal: given.stop.signal })
    for (const event of newEvents(2)) await store.append(to(newStream(), 'any', event))
    expect(await tailed).toHaveLength(2)
  })

  test.each(['in another database', 'in this one'])('an idle transaction %s does not stop the tail', async (where) => {
    const other = where === 'in this one' ? given.own : await createSpecDatabase()
    const idle = await other.connect()
    await idle.query('begin; create table idle (id int); select pg_current_xact_id()')
    const [one, two] = [await given.open(), await given.open()]
    const tailed = tail(two, 3, { signal: given.stop.signal })
    for (const event of newEvents(3)) await one.append(to(newStream(), 'any', event))
    expect(await tailed).toHaveLength(3)
    await idle.query('rollback')
    if (other !== given.own) await other.drop()
  })
})
