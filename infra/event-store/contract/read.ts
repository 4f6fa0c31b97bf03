import { beforeAll, describe, expect, test } from '@jest/globals'
import type { AllRange, NewEvent, Position, StoredEvent, StreamRange } from '../port.ts'
import { codeThrownBy, collect, idsOf, newEvent, newEvents, newStream, revisionsOf, to, type World } from './world.ts'

const minute = (n: number) => `2026-01-01T00:0${n}:00Z`

const streamCases = ({ store }: World): void => {
  describe('readStream', () => {
    const stream = newStream()
    let stored: StoredEvent[] = []
    beforeAll(async () => {
      // The clock of the fourth writer was slow.
      const times = [0, 1, 4, 2, 5].map((n) => newEvent('Happened', { n }, minute(n)))
      for (const event of times) await store().append(to(stream, 'any', event))
      stored = await collect(store().readStream(stream))
    })

    const read = async (range: StreamRange) => revisionsOf(await collect(store().readStream(stream, range))).map(Number)

    test.each<[string, StreamRange, number[]]>([
      ['from a revision', { from: 3n }, [3, 4]],
      ['from below the first', { from: -5n }, [0, 1, 2, 3, 4]],
      ['from beyond the last', { from: 5n }, []],
      ['a few', { from: 1n, limit: 2 }, [1, 2]],
      ['none', { limit: 0 }, []],
      ['backwards', { direction: 'backwards' }, [4, 3, 2, 1, 0]],
      ['backwards from a revision', { direction: 'backwards', from: 2n, limit: 2 }, [2, 1]],
      ['backwards from beyond the last', { direction: 'backwards', from: 99n, limit: 1 }, [4]],
      ['backwards from below the first', { direction: 'backwards', from: -1n }, []],
      ['until a time, that moment included', { untilTime: minute(1) }, [0, 1]],
      ['until a time ends before the first that is later', { untilTime: minute(3) }, [0, 1]],
      ['until a time before all', { untilTime: '2025-12-31T23:59:59.999Z' }, []],
      ['until a time after all', { untilTime: '2026-01-01T00:05:00.000Z' }, [0, 1, 2, 3, 4]],
      ['backwards until a time', { untilTime: minute(4), direction: 'backwards' }, [3, 2, 1, 0]],
    ])('%s', async (_, range, revisions) => expect(await read(range)).toEqual(revisions))

    test('until a position, in both directions, that one included', async () => {
      const position = stored[2]?.position as Position
      expect(await read({ untilPosition: position })).toEqual([0, 1, 2])
      expect(await read({ untilPosition: position, direction: 'backwards', limit: 1 })).toEqual([2])
      expect(await read({ untilPosition: store().start })).toEqual([])
    })

    test('an unknown stream is empty, and so is one that cannot exist', async () => {
      const names = [newStream(), '', 'a\0', '\ud83d', 'x'.repeat(300)]
      expect(await Promise.all(names.map((name) => collect(store().readStream(name))))).toEqual(names.map(() => []))
    })

    test('many pages, whole and stopped early', async () => {
      const long = newStream()
      await store().append(to(long, 'no stream', ...newEvents(2_500)))
      const upwards = Array.from({ length: 2_500 }, (_, n) => BigInt(n))
      expect(revisionsOf(await collect(store().readStream(long)))).toEqual(upwards)
      expect(revisionsOf(await collect(store().readStream(long, { limit: 2_201 })))).toEqual(upwards.slice(0, 2_201))
      for await (const { revision } of store().readStream(long, { direction: 'backwards' })) {
        expect(revision).toBe(2_499n)
        break
      }
    })

    test('changing a returned event does not change the stored one', async () => {
      const own = newStream()
      await store().append(to(own, 'any', newEvent('Happened', { list: [1] })))
      for (const { data } of await collect(store().readStream(own))) (data as { list: number[] }).list.push(2)
      expect((await collect(store().readStream(own)))[0]?.data).toEqual({ list: [1] })
    })
  })
}

/** How much is read of a log that may hold a long history of other clients. */
const newestMax = 10_000

const allCases = ({ store, openEmpty }: World): void => {
  describe('readAll', () => {
    const prefix = `${newStream('50%_')}\u{10ffff}`
    const events: (readonly [stream: string, event: NewEvent])[] = [
      [`${prefix}a`, newEvent('Red')],
      [`${prefix}`, newEvent('Green')],
      [`${prefix}\u{10ffff}\u{10ffff}`, newEvent('Blue')],
      [prefix.slice(0, -2), newEvent('Red')],
      [`${prefix.replace('_', 'x')}a`, newEvent('Red')],
      [`${prefix}a`, newEvent('Green')],
    ]
    let before: Position
    beforeAll(async () => {
      before = await store().head()
      for (const [stream, event] of events) await store().append(to(stream, 'any', event))
    })
    const numbers = new Map(events.map(([, { id }], index) => [id, index]))
    const read = async (range: AllRange) => {
      const all = await collect(store().readAll({ after: before, ...range }))
      return idsOf(all).map((id) => numbers.get(id))
    }

    test.each<[string, AllRange, number[]]>([
      ['in the order of the log', {}, [0, 1, 2, 3, 4, 5]],
      ['a few', { limit: 2 }, [0, 1]],
      ['none', { limit: 0 }, []],
      ['by type', { types: ['Red'] }, [0, 3, 4]],
      ['by several types', { types: ['Green', 'Blue', 'None'] }, [1, 2, 5]],
      ['by no type', { types: [] }, []],
      ['by a type that cannot exist', { types: ['\0'] }, []],
      ['by prefix', { streamPrefix: prefix }, [0, 1, 2, 5]],
      ['by an empty prefix', { streamPrefix: '' }, [0, 1, 2, 3, 4, 5]],
      ['by a prefix that cannot exist', { streamPrefix: '\ud83d' }, []],
      ['by prefix and type', { streamPrefix: prefix, types: ['Green'], limit: 1 }, [1]],
    ])('%s', async (_, range, expected) => expect(await read(range)).toEqual(expected))

    test('backwards', async () => {
      const last = (limit: number, range: AllRange = {}) =>
        collect(store().readAll({ direction: 'backwards', limit, ...range })).then((all) =>
          idsOf(all).map((id) => numbers.get(id)),
        )
      expect(await last(3)).toEqual([5, 4, 3])
      expect(await last(2, { types: ['Red'] })).toEqual([4, 3])
      const [newest] = await collect(store().readAll({ direction: 'backwards', limit: 1 }))
      expect(await last(2, { after: newest?.position as Position, streamPrefix: prefix })).toEqual([2, 1])
      expect(await collect(store().readAll({ direction: 'backwards', after: store().start }))).toEqual([])
    })

    test('positions rise with the log and compare as text', async () => {
      const newest = await collect(store().readAll({ direction: 'backwards', limit: newestMax }))
      const positions = newest.map(({ position }) => position as string).reverse()
      expect(positions).toEqual([...new Set(positions)].sort())
      expect((positions[0] ?? '') > store().start).toBe(true)
      expect(await store().head()).toBe(positions.at(-1))
    })

    test('many pages in both directions', async () => {
      const after = await store().head()
      const appended = newEvents(2_600)
      await Promise.all(
        [0, 1].map((half) =>
          store().append(to(newStream(), 'any', ...appended.slice(half * 1_300, half * 1_300 + 1_300))),
        ),
      )
      const upwards = await collect(store().readAll({ after }))
      expect(idsOf(upwards).sort()).toEqual(idsOf(appended).sort())
      const downwards = await collect(store().readAll({ direction: 'backwards', limit: 2_600 }))
      expect(downwards).toEqual(upwards.toReversed())
    })

    test('reads the events that were stored when it began, also during concurrent appends', async () => {
      let count = 0
      const after = await store().head()
      await store().append(to(newStream(), 'any', ...newEvents(3)))
      for await (const { id } of store().readAll({ after })) {
        await store().append(to(newStream(), 'any', newEvent()))
        expect(id).toBeDefined()
        count += 1
      }
      expect(count).toBe(3)
    })
  })

  describe('positions', () => {
    test('start and head of an empty log are the same', async () => {
      const empty = await openEmpty()
      expect(await empty.head()).toBe(empty.start)
      expect(await collect(empty.readAll())).toEqual([])
    })

    test('a position that was parsed from text is the same', async () => {
      await store().append(to(newStream(), 'any', newEvent()))
      const head = await store().head()
      expect(store().parsePosition(`${head}`)).toBe(head)
      expect(store().parsePosition(store().start)).toBe(store().start)
      expect(store().distance(head, head)).toBe(0)
      expect(store().distance(store().start, head)).toBeGreaterThan(0)
    })

    test('a position of another store of the same kind, and any other text, is refused by name', async () => {
      const other = await openEmpty()
      await other.append(to(newStream(), 'any', newEvent()))
      const foreign = await other.head()
      const head = await store().head()
      const tooHigh = `${head.slice(0, -20)}${'9'.repeat(20)}`
      for (const text of [foreign, '', '7', `${head}0`, head.slice(1), `${head.slice(0, -1)}x`, tooHigh])
        expect(await codeThrownBy(() => store().parsePosition(text))).toBe('POSITION_FOREIGN')
      const signal = AbortSignal.timeout(60_000)
      expect(await codeThrownBy(() => collect(store().readAll({ after: foreign })))).toBe('POSITION_FOREIGN')
      expect(await codeThrownBy(() => collect(store().subscribe({ after: foreign, signal })))).toBe('POSITION_FOREIGN')
      const until = () => collect(store().readStream('any', { untilPosition: foreign }))
      expect(await codeThrownBy(until)).toBe('POSITION_FOREIGN')
    })
  })
}

/** Declares the cases of `readStream`, `readAll` and positions. */
export const readCases = (world: World): void => {
  streamCases(world)
  allCases(world)
}
