import { randomUUID } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import type { ExpectedRevision } from '../port.ts'
import { codeThrownBy, collect, idsKnown, idsOf, newEvent, newEvents, newStream, to, type World } from './world.ts'

/** Declares the cases of appends whose event ids are stored already: repetitions, and refusals. */
export const retryCases = ({ store, capabilities }: World): void => {
  const read = (stream: string) => collect(store().readStream(stream))

  describe('the same append again', () => {
    test.each<ExpectedRevision>(['no stream', 'any', 'stream exists', 0n])(
      'expecting %s, returns the outcome of the first time',
      async (expected) => {
        const stream = newStream()
        if (expected !== 'no stream') await store().append(to(stream, 'no stream', newEvent()))
        const append = to(stream, expected, ...newEvents(3))
        const first = await store().append(append)
        expect(await store().append(append)).toEqual({ ...first, repeated: true })
        await store().append(to(stream, 'any', ...newEvents(2)))
        expect(await store().append(append)).toEqual({ ...first, repeated: true })
        expect(await read(stream)).toHaveLength(expected === 'no stream' ? 5 : 6)
      },
    )

    test.each<ExpectedRevision>(['no stream', 'any'])(
      'expecting %s, while the first is in flight',
      async (expected) => {
        const append = to(newStream(), expected, ...newEvents(2))
        const answers = await Promise.all(Array.from({ length: 10 }, () => store().append(append)))
        const { position } = (await read(append.stream))[1] ?? {}
        expect(answers).toEqual(
          answers.map((_, index) => ({ outcome: 'appended', revision: 1n, position, repeated: index > 0 })),
        )
        expect(idsOf(await read(append.stream))).toEqual(idsOf(append.events))
      },
    )

    test('requested later by another actor, with the keys of its data in another order', async () => {
      const stream = newStream()
      const event = newEvent('Happened', { a: 1, b: [{ c: 2, d: 3 }] })
      const first = await store().append(to(stream, 'no stream', event))
      const metadata = { ...event.metadata, actor: 'grace', time: '2027-01-01T00:00:00Z' }
      const again = { ...event, id: event.id.toUpperCase(), data: { b: [{ d: 3, c: 2 }], a: 1 }, metadata }
      expect(await store().append(to(stream, 'no stream', again))).toEqual({ ...first, repeated: true })
      expect((await read(stream))[0]?.metadata).toEqual(event.metadata)
    })
  })

  describe('known event ids that are no repetition: nothing is written, and the outcome names the problem', () => {
    const [first, second, third] = [newEvent(), newEvent(), newEvent()]
    const stored = async () => {
      const stream = newStream()
      const fresh = [first, second, third].map((event) => ({ ...event, id: randomUUID() }))
      const [one, two, three] = fresh as [typeof first, typeof first, typeof first]
      await store().append(to(stream, 'no stream', one, two, three))
      return { stream, one, two, three }
    }

    test('with other data', async () => {
      const { stream, one } = await stored()
      const changed = { ...one, data: { n: 2 } }
      expect(await store().append(to(stream, 'any', changed))).toEqual(idsKnown({ stream }, 'other content'))
    })
    test('with another type', async () => {
      const { stream, one } = await stored()
      const changed = { ...one, type: 'Else' }
      expect(await store().append(to(stream, 'any', changed))).toEqual(idsKnown({ stream }, 'other content'))
    })
    const inLog = capabilities.idsKnownWithin === 'log' ? test : test.skip
    inLog('in another stream', async () => {
      const { one } = await stored()
      const other = newStream()
      expect(await store().append(to(other, 'any', one))).toEqual(idsKnown({ stream: other }, 'known elsewhere'))
    })
    inLog('in another stream at the same moment', async () => {
      const event = newEvent()
      const streams = [newStream(), newStream()]
      const outcomes = await Promise.all(streams.map((stream) => store().append(to(stream, 'no stream', event))))
      expect(outcomes).toMatchObject([
        { outcome: 'appended' },
        idsKnown({ stream: streams[1] ?? '' }, 'known elsewhere'),
      ])
    })
    test('in another order', async () => {
      const { stream, one, two } = await stored()
      expect(await store().append(to(stream, 'any', two, one))).toEqual(idsKnown({ stream }, 'known elsewhere'))
    })
    test('with one of the events between them left out', async () => {
      const { stream, one, three } = await stored()
      expect(await store().append(to(stream, 'any', one, three))).toEqual(idsKnown({ stream }, 'known elsewhere'))
    })
    test('with a new one among them', async () => {
      const { stream, three } = await stored()
      expect(await store().append(to(stream, 'any', three, newEvent()))).toEqual(idsKnown({ stream }, 'partly known'))
      expect(await read(stream)).toHaveLength(3)
    })
  })
}

/** Declares the cases of `appendToMany`, for engines with this capability. */
export const appendToManyCases = ({ store }: World): void => {
  const read = (stream: string) => collect(store().readStream(stream))

  describe('appendToMany', () => {
    test('returns the outcomes in the order of the request, and writes the appends one after the other', async () => {
      const [one, two] = [newStream(), newStream()]
      const before = await store().head()
      const answers = await store().appendToMany([to(two, 'no stream', ...newEvents(2)), to(one, 'any', newEvent())])
      const all = await collect(store().readAll({ after: before }))
      expect(all.map(({ stream }) => stream)).toEqual([two, two, one])
      expect(answers).toEqual([
        { outcome: 'appended', revision: 1n, position: all[1]?.position, repeated: false },
        { outcome: 'appended', revision: 0n, position: all[2]?.position, repeated: false },
      ])
    })

    test('writes nothing when one of them is in conflict', async () => {
      const [one, two, three] = [newStream(), newStream(), newStream()]
      await store().append(to(two, 'no stream', newEvent()))
      const before = await store().head()
      const appends = [to(one, 'no stream', newEvent()), to(two, 'no stream', newEvent()), to(three, 'any', newEvent())]
      const [answer, beside] = await Promise.all([
        store().appendToMany(appends),
        store().append(to(newStream(), 'no stream', newEvent())),
      ])
      expect(answer).toEqual({ outcome: 'conflict', stream: two, actual: 0n })
      expect(beside.outcome).toBe('appended')
      expect(await collect(store().readAll({ after: before }))).toHaveLength(1)
    })

    test('again, returns the outcomes of the first time', async () => {
      const appends = [to(newStream(), 'no stream', newEvent()), to(newStream(), 'no stream', ...newEvents(2))]
      const [first, inFlight] = await Promise.all([store().appendToMany(appends), store().appendToMany(appends)])
      if ('outcome' in first) throw new Error('expected no conflict')
      const repeated = first.map((answer) => ({ ...answer, repeated: true }))
      expect(inFlight).toEqual(repeated)
      await store().append(to(appends[0]?.stream ?? '', 0n, newEvent()))
      expect(await store().appendToMany(appends)).toEqual(repeated)
    })

    test('refuses when only some of it is known, and writes nothing', async () => {
      const [known, fresh] = [to(newStream(), 'any', newEvent()), to(newStream(), 'any', newEvent())]
      await store().append(known)
      expect(await store().appendToMany([known, fresh])).toEqual(idsKnown(fresh, 'partly known'))
      expect(await read(fresh.stream)).toEqual([])
    })

    test('refuses an empty request, and a stream named twice', async () => {
      const stream = newStream()
      expect(await codeThrownBy(() => store().appendToMany([]))).toBe('EVENT_INVALID')
      const twice = [to(stream, 'any', newEvent()), to(stream, 'any', newEvent())]
      expect(await codeThrownBy(() => store().appendToMany(twice))).toBe('EVENT_INVALID')
    })

    test('many concurrent appends to the same two streams, in either order, are all stored', async () => {
      const [one, two] = [newStream(), newStream()]
      await Promise.all(
        Array.from({ length: 20 }, (_, n) => {
          const both = [to(one, 'any', newEvent()), to(two, 'any', newEvent())]
          return store().appendToMany(n % 2 ? both : both.toReversed())
        }),
      )
      expect([(await read(one)).length, (await read(two)).length]).toEqual([20, 20])
    })
  })
}
