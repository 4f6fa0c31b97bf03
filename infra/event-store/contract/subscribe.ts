import { describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { sleep } from '../../async/sleep.ts'
import type { Batch, EventStore, Position, StoredEvent, SubscribeOptions } from '../port.ts'
import { collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to, type World } from './world.ts'

const appenders = 32
const tailMsMax = 300_000
/** No batch has more characters of data, in any engine. */
const batchBytesMax = 20 * 1024 * 1024
/** How long the server answers with an error. */
const faultMs = 300

/** Subscribes until `isEnough` returns true for a batch, and resolves to all batches up to it. Throws when the
 *  signal aborts first, by default after a minute. */
const batchesUntil = async (
  store: EventStore,
  options: Omit<SubscribeOptions, 'signal'>,
  isEnough: (batch: Batch, batches: readonly Batch[]) => boolean,
  signal = AbortSignal.timeout(60_000),
): Promise<Batch[]> => {
  const batches: Batch[] = []
  for await (const batch of store.subscribe({ ...options, signal })) {
    batches.push(batch)
    if (isEnough(batch, batches)) return batches
  }
  throw new Error('The subscription ended before it had received enough batches.')
}

const eventsOf = (batches: readonly Batch[]): StoredEvent[] => batches.flatMap(({ events }) => events)
const reaches = (position: Position) => (batch: Batch) => batch.position >= position

/** Declares the cases of `subscribe`. */
export const subscribeCases = ({ store, tailedEvents, openFaulty }: World): void => {
  describe('subscribe', () => {
    test('catches up in batches, then goes on live', async () => {
      const after = await store().head()
      const [early, late] = [newEvents(5), newEvents(2)]
      await store().append(to(newStream(), 'any', ...early))
      const caughtUp = await store().head()
      const batches = await batchesUntil(store(), { after, batchSize: 2 }, ({ position }, all) => {
        if (position === caughtUp) void store().append(to(newStream(), 'any', ...late))
        return eventsOf(all).length === 7
      })
      expect(idsOf(eventsOf(batches))).toEqual(idsOf([...early, ...late]))
      const sizes = batches.map(({ events }) => events.length)
      expect(sizes.slice(0, 3)).toEqual([2, 2, 1])
      expect(sizes.every((size) => size > 0 && size <= 2)).toBe(true)
      for (const { events, position } of batches) expect(position).toBe(events.at(-1)?.position)
    })

    test('from the beginning, yields the events that readAll yields', async () => {
      // The server under test may hold a long history of other clients.
      const first = await collect(store().readAll({ limit: 10_000 }))
      let count = 0
      const batches = await batchesUntil(store(), {}, ({ events }) => {
        count += events.length
        return count >= first.length
      })
      expect(idsOf(eventsOf(batches)).slice(0, first.length)).toEqual(idsOf(first))
    })

    test('advances its position also when no event passes the filter', async () => {
      const after = await store().head()
      await store().append(to(newStream(), 'any', ...newEvents(3)))
      const middle = await store().head()
      const received: StoredEvent[] = []
      let goal = middle
      const options = { after, types: ['Never'], signal: AbortSignal.timeout(60_000) }
      for await (const { events, position } of store().subscribe(options)) {
        received.push(...events)
        if (position < goal) continue
        if (goal > middle) break
        await store().append(to(newStream(), 'any', newEvent()))
        goal = await store().head()
      }
      expect(received).toEqual([])
      expect(options.signal.aborted).toBe(false)
    })

    test('filters by type and by stream prefix', async () => {
      const after = await store().head()
      const prefix = newStream('it_s')
      const wanted = newEvent('Red')
      await store().append(to(newStream(), 'any', newEvent('Red')))
      await store().append(to(`${prefix}-1`, 'any', newEvent('Green'), wanted, newEvent('Green')))
      const head = await store().head()
      const batches = await batchesUntil(store(), { after, types: ['Red'], streamPrefix: prefix }, reaches(head))
      expect(idsOf(eventsOf(batches))).toEqual([wanted.id])
      expect(batches.at(-1)?.position).toBe(head)
    })

    test('ends when the signal aborts: before, while it waits, and between batches', async () => {
      expect(await collect(store().subscribe({ signal: AbortSignal.abort() }))).toEqual([])
      const waiting = new AbortController()
      const iterator = store()
        .subscribe({ after: await store().head(), signal: waiting.signal })
        [Symbol.asyncIterator]()
      const next = iterator.next()
      waiting.abort()
      expect(await next).toEqual({ done: true, value: undefined })
      await store().append(to(newStream(), 'any', ...newEvents(4)))
      const between = new AbortController()
      const batches: Batch[] = []
      for await (const batch of store().subscribe({ batchSize: 1, signal: between.signal })) {
        batches.push(batch)
        between.abort()
      }
      expect(batches).toHaveLength(1)
    })

    test('resumes from the position of any batch', async () => {
      const after = await store().head()
      const events = newEvents(10)
      await store().append(to(newStream(), 'any', ...events))
      const head = await store().head()
      const batches = await batchesUntil(store(), { after, batchSize: 3 }, reaches(head))
      for (const [index, { position }] of batches.entries()) {
        if (position === head) continue
        const rest = await batchesUntil(store(), { after: position }, reaches(head))
        expect(idsOf(eventsOf(rest))).toEqual(idsOf(events.slice((index + 1) * 3)))
      }
    })

    test.each([true, false])(
      'a consumer that stalls during concurrent appends receives everything, read ahead: %j',
      async (readAhead) => {
        const after = await store().head()
        const events = newEvents(300)
        const stream = newStream()
        await store().append(to(stream, 'any', events[0] ?? newEvent()))
        const received: StoredEvent[] = []
        const signal = AbortSignal.timeout(60_000)
        for await (const batch of store().subscribe({ after, batchSize: 7, readAhead, signal })) {
          if (received.length === 0) for (const event of events.slice(1)) await store().append(to(stream, 'any', event))
          received.push(...batch.events)
          if (received.length >= events.length) break
        }
        expect(idsOf(received)).toEqual(idsOf(events))
      },
    )

    test('batches are cut by bytes as well, and no event is left out or repeated, however large its neighbours are', async () => {
      const after = await store().head()
      const large = 'x'.repeat(1_000_000)
      const sizes = Array.from({ length: 20 }, (_, n) => (n < 14 ? large : ''))
      const events = sizes.map((text, n) => newEvent('Weighed', { n, text }))
      const stream = newStream()
      for (const event of events) await store().append(to(stream, 'any', event))
      const head = await store().head()
      const batches = await batchesUntil(store(), { after, types: ['Weighed'], batchSize: 500 }, reaches(head))
      expect(idsOf(eventsOf(batches))).toEqual(idsOf(events))
      for (const { events: some } of batches)
        expect(JSON.stringify(some.map(({ data }) => data)).length).toBeLessThan(batchBytesMax)
      const range = { types: ['Weighed'], streamPrefix: stream }
      expect(idsOf(await collect(store().readAll({ ...range, after })))).toEqual(idsOf(events))
      expect(idsOf(await collect(store().readAll({ ...range, direction: 'backwards' })))).toEqual(
        idsOf(events).toReversed(),
      )
      expect(idsOf(await collect(store().readStream(stream)))).toEqual(idsOf(events))
      expect(idsOf(await collect(store().readStream(stream, { direction: 'backwards' })))).toEqual(
        idsOf(events).toReversed(),
      )
    }, 180_000)

    if (openFaulty)
      test('no error that the server answers with ends a subscriber, also while another one has stalled', async () => {
        const { store: faulty, faults, fail } = await openFaulty()
        const ending = new AbortController()
        const after = await faulty.head()
        await faulty.append(to(newStream(), 'any', newEvent()))
        const stalled = faulty.subscribe({ after, signal: ending.signal })[Symbol.asyncIterator]()
        expect(await stalled.next()).toMatchObject({ done: false })
        const following = [1, 2].map(() => {
          const received: string[] = []
          const ended = (async () => {
            for await (const { events } of faulty.subscribe({ after, signal: ending.signal }))
              received.push(...idsOf(events))
          })()
          return { received, ended }
        })
        for (const fault of faults) {
          fail(fault)
          await sleep(faultMs)
          fail(undefined)
          const event = newEvent()
          await faulty.append(to(newStream(), 'any', event))
          const [id] = idsOf([event])
          for (const { received, ended } of following)
            await Promise.race([
              eventually(`a subscriber goes on after ${fault}`, () => received.includes(id ?? '')),
              ended.then(() => Promise.reject(new Error(`a subscriber ended after ${fault}`))),
            ])
          expect(idsOf(await eventsUntil(faulty, { after }, 2)).slice(0, 2)).toEqual(following[0]?.received.slice(0, 2))
        }
        ending.abort()
        await Promise.all(following.map(({ ended }) => ended))
        await stalled.return?.(undefined)
        await faulty.close()
      }, 60_000)

    test.each([1, 7, 100])(
      `a subscriber tails ${appenders} appenders in batches of %i: none skipped, none twice, in order`,
      async (batchSize) => {
        const after = await store().head()
        const share = Math.ceil(tailedEvents / appenders)
        let count = 0
        const appendAll = async (appender: number) => {
          const stream = `${newStream()}-${appender}`
          for (let n = 0; n < share; n += 1)
            await store().append(to(stream, n === 0 ? 'no stream' : BigInt(n - 1), newEvent()))
          return stream
        }
        const isComplete = (batch: Batch) => {
          count += batch.events.length
          return count >= share * appenders
        }
        const [batches, streams] = await Promise.all([
          batchesUntil(store(), { after, batchSize }, isComplete, AbortSignal.timeout(tailMsMax)),
          Promise.all(Array.from({ length: appenders }, (_, appender) => appendAll(appender))),
        ])
        const events = eventsOf(batches)
        const positions = events.map(({ position }) => position as string)
        expect(positions).toEqual([...new Set(positions)].sort())
        for (const stream of streams)
          expect(events.filter((event) => event.stream === stream).map(({ revision }) => revision)).toEqual(
            Array.from({ length: share }, (_, n) => BigInt(n)),
          )
        expect(events).toHaveLength(share * appenders)
      },
      tailMsMax,
    )
  })
}
