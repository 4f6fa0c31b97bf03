import { describe, expect, test } from '@jest/globals'
import type { AggregateName, StateOf } from '../domain/aggregates.ts'
import { money } from '../domain/money.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { systemActor } from './actor.ts'
import { createAggregateCache } from './aggregate-cache.ts'
import { createCommands, mustExecute, requestEnvelope } from './execute.ts'
import { newId } from './ids.ts'

const time = '2026-01-01T00:00:00.000Z'
const envelope = (commandId = newId()) => requestEnvelope(commandId, systemActor('test'), time)
const credit = { type: 'CreditDeposit', user: 'ada', payment: 'p', amount: money(1n, 'USDC/6') } as const
const release = { type: 'ReleaseHold', rental: 'none' } as const

/** Counts the events that are read. */
const counting = (store: EventStore) => {
  const counted = { reads: 0, events: 0 }
  const watched: EventStore = {
    ...store,
    async *readStream(...asked) {
      counted.reads += 1
      for await (const event of store.readStream(...asked)) {
        counted.events += 1
        yield event
      }
    },
  }
  const since = () => {
    const { reads, events } = counted
    counted.reads = 0
    counted.events = 0
    return { reads, events }
  }
  return { watched, since }
}

/** Creates an account with so many events, and a cache that holds it. */
const setUp = async (events: number) => {
  const store = createMemoryEventStore()
  const { watched, since } = counting(store)
  const here = createCommands({ store: watched })
  const elsewhere = createCommands({ store })
  for (let n = 0; n < events; n++) await elsewhere.execute('account', 'ada', credit, envelope(`command ${n}`))
  await here.current('account', 'ada')
  expect(since()).toEqual({ reads: 1, events })
  return { store, here, elsewhere, since }
}

describe('of a stream that is known, however long,', () => {
  test('a command reads nothing', async () => {
    const { here, since } = await setUp(500)
    mustExecute(await here.execute('account', 'ada', credit, envelope()))
    mustExecute(await here.execute('account', 'ada', credit, envelope()))
    expect(since()).toEqual({ reads: 0, events: 0 })
  })

  test('a refusal reads what came after', async () => {
    const { here, elsewhere, since } = await setUp(500)
    await elsewhere.execute('account', 'ada', credit, envelope())
    expect(await here.execute('account', 'ada', release, envelope())).toMatchObject({ refused: expect.any(String) })
    expect(since()).toEqual({ reads: 1, events: 1 })
  })

  test('a command that meets a conflict reads what came after', async () => {
    const { here, elsewhere, since } = await setUp(500)
    await elsewhere.execute('account', 'ada', credit, envelope())
    const { state } = mustExecute(await here.execute('account', 'ada', credit, envelope()))
    expect(since()).toEqual({ reads: 1, events: 1 })
    expect(state).toEqual((await elsewhere.load('account', 'ada')).state)
  })

  test('a repetition reads its answer, and what came after', async () => {
    const { here, store, since } = await setUp(500)
    const again = mustExecute(await here.execute('account', 'ada', credit, envelope('command 7')))
    expect(again).toMatchObject({ repeated: true, events: [{ revision: 7n }] })
    expect(since().events).toBeLessThan(10 + 8)
    const stored = await Array.fromAsync(store.readStream('account-ada'))
    expect(again.position).toBe(stored[7]?.position)
  })

  test('looking at it reads what came after', async () => {
    const { here, elsewhere, since } = await setUp(500)
    await elsewhere.execute('account', 'ada', credit, envelope())
    const { state, history } = await elsewhere.load('account', 'ada')
    expect(await here.current('account', 'ada')).toMatchObject({
      state,
      revision: 500n,
      first: { eventId: history[0]?.eventId, revision: 0n },
      last: { eventId: history[500]?.eventId, revision: 500n },
    })
    expect(since()).toEqual({ reads: 1, events: 1 })
  })
})

test('several callers that ask for the same stream at first read it once', async () => {
  const { store } = await setUp(300)
  const { watched, since } = counting(store)
  const { current } = createCommands({ store: watched })
  const all = await Promise.all(Array.from({ length: 20 }, () => current('account', 'ada')))
  expect(new Set(all.map(({ state }) => state)).size).toBe(1)
  expect(since()).toEqual({ reads: 20, events: 300 })
})

test('a stream that does not exist is remembered as such, until it does', async () => {
  const { watched, since } = counting(createMemoryEventStore())
  const commands = createCommands({ store: watched })
  const elsewhere = createCommands({ store: watched })
  const none = { revision: undefined, state: { status: 'none' } }
  for (const user of ['ada', 'bob']) expect(await commands.current('account', user)).toMatchObject(none)
  expect(since()).toEqual({ reads: 2, events: 0 })
  mustExecute(await commands.execute('account', 'ada', credit, envelope()))
  expect(since()).toEqual({ reads: 0, events: 0 })
  // What another process has begun meanwhile is found by the append.
  mustExecute(await elsewhere.execute('account', 'bob', { ...credit, user: 'bob' }, envelope(), { isNew: true }))
  const answer = mustExecute(await commands.execute('account', 'bob', { ...credit, user: 'bob' }, envelope()))
  expect(answer.events).toMatchObject([{ revision: 1n }])
  expect(since()).toEqual({ reads: 1, events: 1 })
  // A "no" is decided on what was read just now.
  await elsewhere.execute('account', 'eve', { ...credit, user: 'eve' }, envelope())
  expect(await commands.known('account', 'eve')).toMatchObject({ revision: 0n })
})

test('after an append to a new stream whose outcome is unknown, the stream is read', async () => {
  const store = createMemoryEventStore()
  const { watched, since } = counting(store)
  const isAway = { yes: true }
  const append: EventStore['append'] = async (asked) => {
    const answer = await store.append(asked)
    if (isAway.yes) throw new Error('connection lost')
    return answer
  }
  const commands = createCommands({ store: { ...watched, append } })
  await commands.current('account', 'ada')
  const asked = envelope()
  await expect(commands.execute('account', 'ada', credit, asked)).rejects.toThrow('connection lost')
  isAway.yes = false
  since()
  expect(await commands.execute('account', 'ada', credit, asked)).toMatchObject({ repeated: true })
  expect(since().reads).toBeGreaterThan(0)
})

test('a slow reader does not replace a newer entry', async () => {
  const { store, elsewhere } = await setUp(3)
  const gate = Promise.withResolvers<void>()
  let held = false
  const cache = createAggregateCache({
    store: {
      async *readStream(...asked) {
        const events = []
        for await (const event of store.readStream(...asked)) events.push(event)
        if (held) await gate.promise
        yield* events
      },
    },
  })
  await cache.current('account', 'ada')
  await elsewhere.execute('account', 'ada', credit, envelope())
  held = true
  const late = cache.current('account', 'ada')
  held = false
  await elsewhere.execute('account', 'ada', credit, envelope())
  await cache.current('account', 'ada')
  gate.resolve()
  await late
  expect(cache.cached('account', 'ada')?.revision).toBe(4n)
})

test('a store that was put back to an earlier state is noticed by the next command that writes', async () => {
  const [now, before] = [createMemoryEventStore(), createMemoryEventStore()]
  let store: EventStore = now
  const { execute, current } = createCommands({
    store: { ...now, append: (append) => store.append(append), readStream: (...asked) => store.readStream(...asked) },
  })
  for (const one of [now, before])
    await createCommands({ store: one }).execute('account', 'ada', credit, envelope('first'))
  for (let n = 0; n < 5; n++) await execute('account', 'ada', credit, envelope())
  store = before
  expect(mustExecute(await execute('account', 'ada', credit, envelope())).events).toMatchObject([{ revision: 1n }])
  expect(await current('account', 'ada')).toMatchObject({ revision: 1n })
})

test('the state of another aggregate with the same id is another', async () => {
  const { here } = await setUp(1)
  const states = await Promise.all(
    (['account', 'listing'] as const).map(async (name: AggregateName) => (await here.current(name, 'ada')).state),
  )
  expect(states.map((state: StateOf<AggregateName>) => state.status)).toEqual(['open', 'none'])
})
