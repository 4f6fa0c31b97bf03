import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventually } from '../../testing/eventually.ts'
import { sleep } from '../async/sleep.ts'
import { collect, eventStoreContract, newEvent } from './contract.ts'
import { createMemoryEventStore, memoryCapabilities } from './memory.ts'
import { shareReader } from './one-reader.ts'
import type { EventStore, Filter, Position, SubscribeOptions } from './port.ts'

const open = async () => shareReader(createMemoryEventStore())
const small = { entriesMax: 8, bytesMax: 8_000 }

eventStoreContract({ capabilities: memoryCapabilities, open, openEmpty: open, tailedEvents: 2_000 })

/** Makes a store that counts its subscriptions, and whose open ones can be failed. */
const observed = (inner = createMemoryEventStore()) => {
  const asked: SubscribeOptions[] = []
  const open = new Set<AbortController>()
  const broken = { yes: false }
  const store: EventStore = {
    ...inner,
    subscribe: async function* (options) {
      asked.push(options)
      if (broken.yes) throw new Error('no connection')
      const cut = new AbortController()
      open.add(cut)
      try {
        const signal = AbortSignal.any([options.signal, cut.signal])
        yield* inner.subscribe({ ...options, signal })
        if (cut.signal.aborted) throw new Error('the connection broke')
      } finally {
        open.delete(cut)
      }
    },
  }
  return { store, asked, open, broken, fail: () => [...open].forEach((cut) => void cut.abort()) }
}

const stopping = new Set<AbortController>()
afterEach(() => {
  for (const stop of stopping) stop.abort()
  stopping.clear()
})

/** Subscribes until stopped, again after each error as the consumers of the platform do. `seen` has the positions. */
const follow = (
  store: EventStore,
  options: Filter & { after?: Position; batchSize?: number; handle?: (seen: number) => Promise<void> | void } = {},
) => {
  const { handle, ...wanted } = options
  const stop = new AbortController()
  stopping.add(stop)
  const seen: string[] = []
  const errors: unknown[] = []
  let { after } = options
  const run = async () => {
    while (!stop.signal.aborted)
      try {
        for await (const batch of store.subscribe({ ...wanted, ...(after && { after }), signal: stop.signal })) {
          await handle?.(seen.length)
          seen.push(...batch.events.map(({ position }) => position))
          after = batch.position
        }
      } catch (error) {
        errors.push(error)
        await sleep(1)
      }
  }
  const done = run()
  const sees = (count: number) => eventually(`${count} events are seen`, () => seen.length >= count)
  const end = async () => {
    stop.abort()
    await done
  }
  return { seen, errors, sees, end }
}

const append = async (store: EventStore, count: number, stream = 'a', type = 'Made') => {
  for (let made = 0; made < count; made += 1)
    await store.append({ stream, expected: 'any', events: [{ ...newEvent(), type }] })
}
const positionsOf = async (store: EventStore, filter: Filter = {}, after?: Position) =>
  (await collect(store.readAll({ ...filter, ...(after && { after }) }))).map(({ position }) => position)

describe('subscribers of a shared reader', () => {
  test('see all that passes their filter, in order and once: whoever joins, lags, fails or leaves, and when', async () => {
    const types = ['Made', 'Sold']
    const filter = fc.record(
      { types: fc.subarray(types, { minLength: 1 }), streamPrefix: fc.constantFrom('a', 'b') },
      { requiredKeys: [] },
    )
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 9 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('join' as const),
          filter,
          from: fc.nat({ max: 100 }),
          batchSize: fc.integer({ min: 1, max: 12 }),
          slow: fc.constantFrom(0, 0, 3),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { store: inner, fail } = observed()
        const shared = shareReader(inner, small)
        const followers: { follower: ReturnType<typeof follow>; filter: Filter; after?: Position; left: boolean }[] = []
        for (const [index, one] of steps.entries()) {
          if (one.do === 'append') await append(shared, one.count, index % 2 ? 'a1' : 'b1', index % 3 ? 'Made' : 'Sold')
          else if (one.do === 'wait') await sleep(1)
          else if (one.do === 'fail') fail()
          else if (one.do === 'leave') {
            const leaving = followers[one.which % Math.max(1, followers.length)]
            if (leaving) {
              leaving.left = true
              await leaving.follower.end()
            }
          } else {
            const all = await positionsOf(inner)
            const after = all[one.from % Math.max(1, all.length)] as Position | undefined
            const handle = one.slow > 0 ? () => sleep(one.slow) : undefined
            const options = { ...one.filter, ...(after && { after }), batchSize: one.batchSize }
            const follower = follow(shared, { ...options, ...(handle && { handle }) })
            followers.push({ follower, filter: one.filter, ...(after && { after }), left: false })
          }
        }
        for (const { follower, filter: wanted, after, left } of followers) {
          const expected = await positionsOf(inner, wanted, after)
          if (!left) await follower.sees(expected.length)
          await follower.end()
          expect(follower.seen).toEqual(left ? expected.slice(0, follower.seen.length) : expected)
        }
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  test('cost the store one subscription, however many they are and however much is appended', async () => {
    const { store: inner, asked } = observed()
    const shared = shareReader(inner)
    await append(inner, 3)
    const after = await inner.head()
    const followers = Array.from({ length: 50 }, () => follow(shared, { after }))
    for (let round = 0; round < 20; round += 1) await append(shared, 1)
    for (const { sees } of followers) await sees(20)
    expect(asked).toHaveLength(1)
    for (const { end } of followers) await end()
  })

  test('that come at the same time, also after a failure, find one reader', async () => {
    const { store: inner, asked, fail } = observed()
    const shared = shareReader(inner)
    const followers = Array.from({ length: 20 }, () => follow(shared))
    await append(shared, 1)
    for (const { sees } of followers) await sees(1)
    for (let failures = 1; failures <= 3; failures += 1) {
      fail()
      await append(shared, 2)
      for (const { sees } of followers) await sees(1 + 2 * failures)
    }
    const before = asked.length
    await append(shared, 5)
    for (const { sees, seen } of followers) {
      await sees(12)
      expect(seen).toHaveLength(12)
    }
    expect(asked).toHaveLength(before)
    for (const { end } of followers) await end()
  })

  test('that are slow hold up no other, and read for themselves once they are behind the window', async () => {
    const { store: inner, asked } = observed()
    const shared = shareReader(inner, small)
    const gate = Promise.withResolvers<void>()
    const slow = follow(shared, { batchSize: 1, handle: (seen) => (seen === 1 ? gate.promise : undefined) })
    const quick = follow(shared)
    await append(shared, 2)
    await slow.sees(1)
    await append(shared, 100)
    await quick.sees(102)
    expect(slow.seen).toHaveLength(1)
    const before = asked.length
    gate.resolve()
    await slow.sees(102)
    expect(slow.seen).toEqual(await positionsOf(inner))
    expect(asked.length - before).toBe(1)
    // It is inside again.
    await append(shared, 3)
    await slow.sees(105)
    expect(asked.length - before).toBe(1)
    await slow.end()
    await quick.end()
  })

  test('that fail set no other back: it gets again what it has not finished, and nobody else does', async () => {
    const shared = shareReader(createMemoryEventStore())
    let failures = 3
    const failing = follow(shared, {
      handle: () => {
        if (failures-- > 0) throw new Error('not yet')
      },
    })
    const others = [follow(shared), follow(shared)]
    await append(shared, 10)
    const all = await positionsOf(shared)
    for (const one of [failing, ...others]) {
      await one.sees(10)
      expect(one.seen).toEqual(all)
      await one.end()
    }
    expect(failing.errors).toHaveLength(3)
  })

  test('go on where they were when the store could not be reached for a while', async () => {
    const { store: inner, broken, fail } = observed()
    const shared = shareReader(inner)
    const followers = [follow(shared), follow(shared, { types: ['Sold'] })] as const
    await append(shared, 2)
    await followers[0].sees(2)
    broken.yes = true
    fail()
    await append(inner, 2, 'a', 'Sold')
    await eventually('both meet the error', () => followers.every(({ errors }) => errors.length > 1))
    broken.yes = false
    await followers[0].sees(4)
    await followers[1].sees(2)
    expect(followers[0].seen).toEqual(await positionsOf(inner))
    for (const { end } of followers) await end()
  })

  test('are told of each event, whenever it comes while they look', async () => {
    const shared = shareReader(createMemoryEventStore())
    // Each one appends the next event while it handles one, so that all come while a subscriber is about to wait.
    const follower = follow(shared, { handle: async (seen) => (seen < 500 ? append(shared, 1) : undefined) })
    await append(shared, 1)
    await follower.sees(501)
    expect(follower.seen).toEqual(await positionsOf(shared))
    await follower.end()
  })

  test('leave no reader behind when they are gone, and end when the store closes', async () => {
    const { store: inner, open } = observed()
    const shared = shareReader(inner)
    const first = follow(shared)
    await append(shared, 1)
    await first.sees(1)
    await first.end()
    await eventually('nothing is open', () => open.size === 0)
    const ended = (async () => {
      for await (const _ of shared.subscribe({ signal: new AbortController().signal }));
      return 'ended'
    })()
    await eventually('one is open', () => open.size > 0)
    await shared.close()
    expect(await ended).toBe('ended')
  })

  describe('while the store does not tell where its log ends', () => {
    /** Makes a store with one event, whose head is answered when the spec decides. */
    const hanging = async () => {
      const inner = createMemoryEventStore()
      await append(inner, 1)
      const heads: PromiseWithResolvers<Position>[] = []
      const head = () => {
        const asked = Promise.withResolvers<Position>()
        heads.push(asked)
        return asked.promise
      }
      return { shared: shareReader({ ...inner, head }), inner, heads }
    }
    const begin = (store: EventStore, signal: AbortSignal) => store.subscribe({ signal })[Symbol.asyncIterator]()
    const done = { done: true, value: undefined }

    test('end at once when they are aborted, and a later error is met by none', async () => {
      const unhandled: unknown[] = []
      const note = (reason: unknown) => unhandled.push(reason)
      process.on('unhandledRejection', note)
      const { shared, heads } = await hanging()
      const stop = new AbortController()
      const ended = [begin(shared, stop.signal).next(), begin(shared, stop.signal).next()]
      stop.abort()
      expect(await Promise.all(ended)).toEqual([done, done])
      expect(heads).toHaveLength(1)
      heads[0]?.reject(new Error('no connection'))
      await sleep(1)
      process.off('unhandledRejection', note)
      expect(unhandled).toEqual([])
    })

    test('end at once when they are aborted after a batch', async () => {
      const { shared, heads } = await hanging()
      const stop = new AbortController()
      const subscription = begin(shared, stop.signal)
      const first = subscription.next()
      heads[0]?.reject(new Error('no connection'))
      expect(await first).toMatchObject({ done: false })
      const ended = subscription.next()
      await eventually('the head is asked again', () => heads.length === 2)
      stop.abort()
      expect(await ended).toEqual(done)
    })

    test('end at once when the store is closed', async () => {
      const { shared } = await hanging()
      const ended = begin(shared, new AbortController().signal).next()
      await shared.close()
      expect(await ended).toEqual(done)
    })

    test('and one that joins then goes on when it is told', async () => {
      const { shared, inner, heads } = await hanging()
      const stop = new AbortController()
      const left = begin(shared, stop.signal).next()
      stop.abort()
      expect(await left).toEqual(done)
      const follower = follow(shared)
      heads[0]?.resolve(await inner.head())
      await follower.sees(1)
      await append(shared, 2)
      await eventually('what is left to be asked is answered', async () => {
        for (const asked of heads) asked.resolve(await inner.head())
        return follower.seen.length === 3
      })
      expect(follower.seen).toEqual(await positionsOf(inner))
      await follower.end()
    })
  })

  test('that are ahead of the log wait until it has passed them', async () => {
    const id = 'same'
    const longer = createMemoryEventStore({ id })
    await append(longer, 5)
    const after = await longer.head()
    const shared = shareReader(createMemoryEventStore({ id }))
    const [ahead, other] = [follow(shared, { after }), follow(shared)]
    await append(shared, 3)
    await other.sees(3)
    // Some of these come in one page with the last one that it has seen already.
    await append(shared, 4)
    await other.sees(7)
    await ahead.sees(2)
    expect(ahead.seen).toEqual(other.seen.slice(5))
    for (const { end } of [ahead, other]) await end()
  })

  test('are refused with a position of another store', async () => {
    const shared = shareReader(createMemoryEventStore())
    const after = await createMemoryEventStore().head()
    const subscription = shared.subscribe({ after, signal: new AbortController().signal })
    await expect(subscription[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'POSITION_FOREIGN' })
  })
})
