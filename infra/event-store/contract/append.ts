import { describe, expect, test } from '@jest/globals'
import type { ExpectedRevision, NewEvent } from '../port.ts'
import { codeThrownBy, collect, idsOf, newEvent, newEvents, newStream, revisionsOf, to, type World } from './world.ts'

/** Declares the cases of `append`: revisions, expected revisions, order, sizes, and events that cannot be stored. */
export const appendCases = ({ store, capabilities }: World): void => {
  const read = (stream: string) => collect(store().readStream(stream))

  describe('append', () => {
    test('returns the revision, counted from 0, and the position of the last event', async () => {
      const stream = newStream()
      const [first, second] = [newEvents(2), newEvents(1)]
      const one = await store().append(to(stream, 'no stream', ...first))
      const two = await store().append(to(stream, 1n, ...second))
      const events = await read(stream)
      expect(events).toEqual(
        [...first, ...second].map((event, index) => ({
          ...event,
          stream,
          revision: BigInt(index),
          position: events[index]?.position,
        })),
      )
      expect(one).toEqual({ outcome: 'appended', revision: 1n, position: events[1]?.position, repeated: false })
      expect(two).toEqual({ outcome: 'appended', revision: 2n, position: events[2]?.position, repeated: false })
      expect(await store().head()).toBe(events[2]?.position)
    })

    const modes: readonly [expected: ExpectedRevision, onNothing: boolean, onTwoEvents: boolean][] = [
      ['any', true, true],
      ['no stream', true, false],
      ['stream exists', false, true],
      [0n, false, false],
      [1n, false, true],
      [2n, false, false],
    ]
    test.each(modes)('expecting %s', async (expected, onNothing, onTwoEvents) => {
      const [empty, full] = [newStream(), newStream()]
      await store().append(to(full, 'no stream', ...newEvents(2)))
      const before = await store().head()
      const nothing = await store().append(to(empty, expected, newEvent()))
      const two = await store().append(to(full, expected, newEvent()))
      if (onNothing) expect(nothing).toMatchObject({ outcome: 'appended', revision: 0n, repeated: false })
      else expect(nothing).toEqual({ outcome: 'conflict', stream: empty, actual: undefined })
      if (onTwoEvents) expect(two).toMatchObject({ outcome: 'appended', revision: 2n, repeated: false })
      else expect(two).toEqual({ outcome: 'conflict', stream: full, actual: 1n })
      const written = Number(onNothing) + Number(onTwoEvents)
      expect(await collect(store().readAll({ after: before }))).toHaveLength(written)
    })

    test('of two creates of one stream one is accepted', async () => {
      const stream = newStream()
      const answers = await Promise.all([1, 2].map(() => store().append(to(stream, 'no stream', newEvent()))))
      expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['appended', 'conflict'])
      expect(await read(stream)).toHaveLength(1)
    })

    test('32 parallel appends without check are all stored', async () => {
      const stream = newStream()
      const events = newEvents(32)
      const answers = await Promise.all(events.map((event) => store().append(to(stream, 'any', event))))
      const stored = await read(stream)
      expect(answers).toEqual(
        events.map(({ id }) => {
          const found = stored.find((event) => event.id === id)
          return { outcome: 'appended', revision: found?.revision, position: found?.position, repeated: false }
        }),
      )
      expect(revisionsOf(stored)).toEqual(events.map((_, index) => BigInt(index)))
    })

    test('appends requested one after the other keep their order', async () => {
      const stream = newStream()
      const events = newEvents(20)
      await Promise.all(
        events.map((event, n) => store().append(to(stream, n === 0 ? 'no stream' : BigInt(n - 1), event))),
      )
      expect(idsOf(await read(stream))).toEqual(idsOf(events))
    })

    test('a conflict rejects only its own append', async () => {
      const streams = Array.from({ length: 10 }, () => newStream())
      const answers = await Promise.all(
        streams.map((stream, index) => store().append(to(stream, index % 2 ? 'stream exists' : 'any', newEvent()))),
      )
      expect(answers.map(({ outcome }) => outcome)).toEqual(streams.map((_, n) => (n % 2 ? 'conflict' : 'appended')))
    })

    test('revision 10 comes after 9 and not after 1', async () => {
      const stream = newStream()
      for (let n = 0; n < 12; n += 1)
        await store().append(to(stream, n === 0 ? 'no stream' : BigInt(n - 1), newEvent()))
      const upwards = Array.from({ length: 12 }, (_, n) => BigInt(n))
      expect(revisionsOf(await read(stream))).toEqual(upwards)
      expect(revisionsOf(await collect(store().readStream(stream, { direction: 'backwards' })))).toEqual(
        upwards.toReversed(),
      )
    })

    test('1,000 events in one append', async () => {
      const stream = newStream()
      const events = newEvents(1_000)
      expect(await store().append(to(stream, 'no stream', ...events))).toMatchObject({ revision: 999n })
      expect(idsOf(await read(stream))).toEqual(idsOf(events))
    })

    const text = 'ä"\\'
    test.each([
      ['900 kB', 9e5, false],
      ['1 MiB', 2 ** 20, capabilities.sizesSetBy === 'server'],
    ])('an event of %s', async (_, bytes, mayBeRefused) => {
      const stream = newStream()
      const event = newEvent('Large', {
        text: text.repeat(bytes / Buffer.byteLength(JSON.stringify(text).slice(1, -1))),
      })
      const code = await codeThrownBy(() => store().append(to(stream, 'no stream', event)))
      // A server may be configured with a lower limit; then it refuses the event, and nothing is stored.
      if (mayBeRefused && code !== undefined) {
        expect(code).toBe('EVENT_INVALID')
        expect(await read(stream)).toEqual([])
      } else expect((await read(stream))[0]?.data).toEqual(event.data)
    })

    test('data and metadata come back as they were written', async () => {
      const stream = newStream()
      const data = {
        z: [0, -1.5, 1e300, 2 ** 53, 0.1],
        a: { 'a"b\\c': null, __proto__x: true },
        '': '\u{1f600}\t\n\\u0000',
      }
      const event = newEvent('It\'s "quoted" ✓', data)
      await store().append(to(stream, 'no stream', event))
      const [stored] = await read(stream)
      expect(stored).toMatchObject({ ...event })
      expect(JSON.stringify(stored?.data)).toBe(JSON.stringify(data))
    })

    const unique = newStream('')
    test.each([
      ['quotes', `it's "a" \\ $1 {,} %_ -- ;${unique}`],
      ['unicode', `größe-\u{1f600}-東京-e\u0301${unique}`],
      ['250 characters outside the basic plane', `${'\u{1f600}'.repeat(250 - unique.length)}${unique}`],
      ['one character', String.fromCodePoint(0x20000 + Math.floor(Math.random() * 42_000))],
    ])('a stream name of %s', async (_, stream) => {
      const event = newEvent()
      await store().append(to(stream, 'any', event))
      expect((await read(stream)).at(-1)).toMatchObject({ ...event, stream })
      expect(await collect(store().readStream(`${stream}x`))).toEqual([])
    })

    const good = newEvent()
    const bad: readonly [what: string, stream: string | undefined, events: readonly NewEvent[]][] = [
      ['no event', undefined, []],
      ['an empty stream name', '', [good]],
      ['a stream name of 251 characters', 'x'.repeat(251), [good]],
      ['a stream name of 251 characters outside the basic plane', '\u{1f600}'.repeat(251), [good]],
      ['a NUL in the stream name', 'a\0b', [good]],
      ['half a surrogate pair in the stream name', 'a\ud83d', [good]],
      ['a NUL in the type', undefined, [{ ...good, type: 'a\0' }]],
      ['an empty type', undefined, [{ ...good, type: '' }]],
      ['a NUL in the data', undefined, [newEvent('Happened', { a: ['\0'] })]],
      ['a NUL in a key of the data', undefined, [newEvent('Happened', { 'a\0': 1 })]],
      ['half a surrogate pair in the data', undefined, [newEvent('Happened', { a: '\udc00' })]],
      ['a NUL in the metadata', undefined, [{ ...good, metadata: { ...good.metadata, actor: '\0' } }]],
      ['a number that is not finite', undefined, [newEvent('Happened', { a: Number.NaN })]],
      ['-0', undefined, [newEvent('Happened', { a: -0 })]],
      ['a symbol key', undefined, [newEvent('Happened', { [Symbol('s')]: 1 })]],
      ['a named property of an array', undefined, [newEvent('Happened', Object.assign([1], { note: 'x' }))]],
      ['an object that is not plain', undefined, [newEvent('Happened', { a: new Date(0) } as never)]],
      ['a bigint', undefined, [newEvent('Happened', { a: 1n } as never)]],
      ['an id that is no UUID', undefined, [{ ...good, id: 'one' }]],
      ['one id twice', undefined, [good, good]],
      ['a time that is not in the calendar', undefined, [newEvent('Happened', 1, '2026-02-30T00:00:00Z')]],
      ['a time without zone', undefined, [newEvent('Happened', 1, '2026-02-03T00:00:00')]],
    ]
    test.each(bad)('refuses %s', async (_, name, events) => {
      const before = await store().head()
      const append = to(name ?? newStream(), 'any', ...events)
      expect(await codeThrownBy(() => store().append(append))).toBe('EVENT_INVALID')
      expect(await store().head()).toBe(before)
    })
  })
}
