import { describe, expect, test } from '@jest/globals'
import type { Append, Appended, AppendOutcome, EventStore, ExpectedRevision } from '../port.ts'
import {
  codeThrownBy,
  collect,
  eventsUntil,
  idsKnown,
  idsOf,
  newEvent,
  newEvents,
  newStream,
  to,
  type World,
} from './world.ts'

/** Appends again after each DATABASE_UNAVAILABLE, as a caller should, and resolves to the first outcome. */
export const appendUntilAnswered = async (store: EventStore, append: Append): Promise<AppendOutcome> => {
  for (;;) {
    try {
      return await store.append(append)
    } catch (error) {
      if ((error as { code?: string }).code !== 'DATABASE_UNAVAILABLE') throw error
    }
  }
}

/** Declares the cases of restarts, of two processes and of cut connections, for engines with the capability
 *  `durable`. */
export const restartCases = ({ store, reopen, openCuttable }: World): void => {
  describe('after a restart', () => {
    test('revisions, positions and subscriptions continue', async () => {
      const before = await reopen()
      const stream = newStream()
      const first = (await before.append(to(stream, 'no stream', ...newEvents(2)))) as Appended
      await before.close()
      const after = await reopen()
      expect(after.parsePosition(first.position)).toBe(first.position)
      const event = newEvent()
      const second = (await after.append(to(stream, 1n, event))) as Appended
      expect(second.revision).toBe(2n)
      expect(second.position > first.position).toBe(true)
      expect(idsOf(await eventsUntil(after, { after: first.position }, 1))).toEqual([event.id])
    })

    test.each<ExpectedRevision>(['no stream', 'any', 'stream exists', 0n])(
      'the same append expecting %s returns the first outcome, also after other appends',
      async (expected) => {
        const [one, two] = [await reopen(), await reopen()]
        const stream = newStream()
        if (expected !== 'no stream') await one.append(to(stream, 'no stream', newEvent()))
        const append = to(stream, expected, ...newEvents(3))
        const first = await one.append(append)
        await one.close()
        expect(await two.append(append)).toEqual({ ...first, repeated: true })
        await two.append(to(stream, 'any', ...newEvents(2)))
        const third = await reopen()
        expect(await third.append(append)).toEqual({ ...first, repeated: true })
        expect(await collect(third.readStream(stream))).toHaveLength(expected === 'no stream' ? 5 : 6)
      },
    )

    test('the same append with the current revision is still the same append', async () => {
      const one = await reopen()
      const append = to(newStream(), 'no stream', ...newEvents(2))
      const first = await one.append(append)
      await one.close()
      const two = await reopen()
      expect(await two.append({ ...append, expected: 1n })).toEqual({ ...first, repeated: true })
      expect(await collect(two.readStream(append.stream))).toHaveLength(2)
    })

    test('known event ids with other data are still refused', async () => {
      const one = await reopen()
      const [stream, event] = [newStream(), newEvent()]
      await one.append(to(stream, 'no stream', event))
      await one.close()
      const again = to(stream, 'any', { ...event, data: { n: 2 } })
      expect(await (await reopen()).append(again)).toEqual(idsKnown(again, 'other content'))
    })
  })

  describe('from two processes', () => {
    test('of two creates of one stream one is accepted, and the same append has one outcome', async () => {
      const [one, two] = [await reopen(), await reopen()]
      for (let round = 0; round < 10; round += 1) {
        const stream = newStream()
        const creates = await Promise.all([one, two].map((each) => each.append(to(stream, 'no stream', newEvent()))))
        expect(creates.map(({ outcome }) => outcome).sort()).toEqual(['appended', 'conflict'])
        const append = to(newStream(), 'any', ...newEvents(3))
        const answers = await Promise.all([one.append(append), two.append(append)])
        expect(answers.map((answer) => 'repeated' in answer && answer.repeated).sort()).toEqual([false, true])
        expect(answers[0]).toMatchObject({ position: (answers[1] as Appended).position, revision: 2n })
      }
    })

    test('appends to one stream without check, from both at once, are all stored', async () => {
      const [one, two] = [await reopen(), await reopen()]
      const [stream, events] = [newStream(), newEvents(32)]
      await Promise.all(events.map((event, n) => (n % 2 ? one : two).append(to(stream, 'any', event))))
      expect(idsOf(await collect(store().readStream(stream))).sort()).toEqual(idsOf(events).sort())
    })
  })

  const testWithCuts = openCuttable ? test : test.skip
  testWithCuts.each<ExpectedRevision>(['no stream', 'any'])(
    'a connection cut while an append expecting %s is answered: a retry succeeds, and it is stored once',
    async (expected) => {
      if (!openCuttable) throw new Error('This case is skipped when no connection can be cut.')
      const { store: cuttable, cutNext, cuts } = await openCuttable()
      try {
        for (let round = 0; round < 3; round += 1) {
          const append = to(newStream(), expected, ...newEvents(2))
          cutNext()
          const code = await codeThrownBy(() => cuttable.append(append))
          // An engine may find out by itself what became of it: then there is no error, though the connection was cut.
          expect(code ?? 'DATABASE_UNAVAILABLE').toBe('DATABASE_UNAVAILABLE')
          if (cuts) expect(cuts()).toBe(round + 1)
          const found = await collect(store().readStream(append.stream))
          expect([0, 2]).toContain(found.length)
          const answer = await appendUntilAnswered(cuttable, append)
          expect(answer).toMatchObject({ outcome: 'appended', revision: 1n, ...(found.length && { repeated: true }) })
          const stored = await collect(store().readStream(append.stream))
          expect(idsOf(stored)).toEqual(idsOf(append.events))
          expect(answer).toMatchObject({ position: stored[1]?.position })
        }
      } finally {
        await cuttable.close()
      }
    },
  )
}
