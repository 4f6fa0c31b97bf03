import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { Failure, isRefusal } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { Append, EventStore, StoredEvent } from '../infra/event-store/port.ts'
import { userActor } from './actor.ts'
import { createCommands, type Envelope, mustExecute } from './execute.ts'
import { eventIdOf, newId } from './ids.ts'

const time = '2026-01-01T00:00:00.000Z'
const envelope = (overrides: Partial<Envelope> = {}): Envelope => ({
  commandId: newId(),
  correlationId: 'correlation',
  causationId: 'causation',
  actor: userActor('paula'),
  time,
  ...overrides,
})
const platform = (commandId = newId()) => envelope({ commandId, actor: 'system:test' })
const register = { type: 'RegisterProvider', wallet: 'paula', name: 'Paula', registeredAt: time } as const
const rename = (name: string) => ({ type: 'RenameProvider', name }) as const
const hold = (rental: string, amount: bigint, at = time) =>
  ({
    type: 'HoldFunds',
    user: 'ada',
    rental,
    amount: money(amount, 'USDC/6'),
    at,
    notAfter: '2026-01-01T00:00:30.000Z',
  }) as const
const credit = { type: 'CreditDeposit', user: 'ada', payment: 'p', amount: money(100n, 'USDC/6') } as const

const setUp = (store: EventStore = createMemoryEventStore()) => ({ store, ...createCommands({ store }) })

const logOf = async (store: EventStore): Promise<StoredEvent[]> => {
  const events: StoredEvent[] = []
  for await (const event of store.readAll()) events.push(event)
  return events
}
const typesOf = async (store: EventStore) => (await logOf(store)).map(({ type }) => type)

/** Does something before, or instead of, each append. */
const withAppend = (
  store: EventStore,
  around: (append: Append, original: EventStore['append'], count: number) => ReturnType<EventStore['append']>,
): EventStore => {
  let count = 0
  return { ...store, append: (append) => around(append, store.append, ++count) }
}

afterEach(() => {
  jest.restoreAllMocks()
})

describe('a command', () => {
  test('is decided on what is stored, and its events are stored', async () => {
    const { execute, load, store } = setUp()
    await execute('provider', 'paula', register, envelope())
    const answer = mustExecute(await execute('provider', 'paula', rename('Paulina'), envelope()))
    expect(answer).toMatchObject({
      outcome: 'executed',
      repeated: false,
      events: [{ event: { type: 'ProviderRenamed', name: 'Paulina' }, revision: 1n, correlationId: 'correlation' }],
      state: { status: 'registered', wallet: 'paula', name: 'Paulina' },
      position: await store.head(),
    })
    expect(await typesOf(store)).toEqual(['ProviderRegistered', 'ProviderRenamed'])
    expect(await load('provider', 'paula')).toMatchObject({ state: answer.state, revision: 1n })
  })

  test('that leads to no event stores nothing and has no position', async () => {
    const { execute, store } = setUp()
    await execute('provider', 'paula', register, envelope())
    const answer = await execute('provider', 'paula', rename('Paula'), envelope())
    expect(answer).toMatchObject({ outcome: 'executed', repeated: false, events: [], position: undefined })
    expect(await typesOf(store)).toEqual(['ProviderRegistered'])
  })

  test('that is refused stores nothing', async () => {
    const { execute, store } = setUp()
    expect(await execute('provider', 'paula', rename('Paulina'), platform())).toEqual({
      refused: 'PROVIDER_NOT_REGISTERED',
      details: {},
    })
    expect(await logOf(store)).toEqual([])
  })

  test('of a stranger is refused before it is decided', async () => {
    const { execute, store } = setUp()
    const stranger = envelope({ actor: userActor('mallory') })
    expect(await execute('provider', 'paula', register, stranger)).toMatchObject({ refused: 'NOT_YOURS' })
    expect(await logOf(store)).toEqual([])
  })

  test('leaves actor, cause and time on every one of its events', async () => {
    const { execute, store } = setUp()
    await execute('account', 'ada', credit, platform())
    await execute('account', 'ada', hold('r', 60n), platform())
    const asked = platform(newId())
    const charge = money(20n, 'USDC/6')
    const answer = mustExecute(await execute('account', 'ada', { type: 'CaptureHold', rental: 'r', charge }, asked))
    const events = (await logOf(store)).slice(2)
    expect(events.map(({ type }) => type)).toEqual(['HoldCaptured', 'HoldReleased'])
    for (const [index, { metadata, id, stream, revision, position }] of events.entries()) {
      expect(metadata).toEqual({ ...asked, schemaVersion: 1 })
      expect(stream).toBe('account-ada')
      expect(id).toBe(eventIdOf(asked.commandId, index, asked.time))
      expect(answer.events[index]).toMatchObject({ eventId: id, revision })
      if (index === 1) expect(answer.position).toBe(position)
    }
  })

  test('makes the same event ids in every store', async () => {
    const ids = async () => {
      const { execute, store } = setUp()
      await execute('provider', 'paula', register, envelope({ commandId: 'one' }))
      return (await logOf(store)).map(({ id }) => id)
    }
    expect(await ids()).toEqual(await ids())
  })
})

describe('the same command id again', () => {
  test('gets the first answer, and the state as it is by now', async () => {
    const { execute, store } = setUp()
    const asked = envelope()
    const first = mustExecute(await execute('provider', 'paula', register, asked))
    await execute('provider', 'paula', rename('Paulina'), envelope())
    const again = mustExecute(await execute('provider', 'paula', register, asked))
    expect(again).toMatchObject({ repeated: true, events: first.events, position: first.position })
    expect(again.events).toHaveLength(1)
    expect(again.state).toMatchObject({ name: 'Paulina' })
    expect(await typesOf(store)).toEqual(['ProviderRegistered', 'ProviderRenamed'])
  })

  test('gets the first answer where it would be decided differently by now', async () => {
    const { execute, store } = setUp()
    const asked = platform()
    expect(await execute('account', 'ada', hold('r', 60n), asked)).toMatchObject({
      events: [{ event: { type: 'HoldRefused', code: 'INSUFFICIENT_FUNDS' } }],
    })
    await execute('account', 'ada', credit, platform())
    expect(await execute('account', 'ada', hold('r', 60n), asked)).toMatchObject({
      repeated: true,
      events: [{ event: { type: 'HoldRefused', code: 'INSUFFICIENT_FUNDS' } }],
    })
    expect(await typesOf(store)).toEqual(['HoldRefused', 'DepositCredited'])
  })

  test('gets the first answer from another process, also with both in flight', async () => {
    const store = createMemoryEventStore()
    const asked = envelope()
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => setUp(store).execute('provider', 'paula', register, asked)),
    )
    expect(await typesOf(store)).toEqual(['ProviderRegistered'])
    const [first] = answers
    for (const answer of answers) {
      if (isRefusal(answer) || !first || isRefusal(first)) throw new Error('refused')
      expect(answer.events.map(({ eventId }) => eventId)).toEqual(first.events.map(({ eventId }) => eventId))
      expect(answer.position).toBe(first.position)
    }
    expect(answers.filter((answer) => !isRefusal(answer) && !answer.repeated)).toHaveLength(1)
  })

  test('gets the first answer when another process was a moment faster and decided otherwise', async () => {
    const store = createMemoryEventStore()
    const asked = platform()
    await setUp(store).execute('account', 'ada', credit, platform())
    const slow = setUp(
      withAppend(store, async (append, original, count) => {
        if (count === 1) await setUp(store).execute('account', 'ada', hold('r', 60n), asked)
        return original(append)
      }),
    )
    const late = hold('r', 60n, '2026-01-01T00:00:31.000Z')
    expect(await slow.execute('account', 'ada', late, asked)).toMatchObject({
      repeated: true,
      events: [{ event: { type: 'FundsHeld' } }],
    })
    expect(await typesOf(store)).toEqual(['DepositCredited', 'FundsHeld'])
  })

  test('gets the first answer when that was lost after it was stored', async () => {
    const store = createMemoryEventStore()
    const losing = setUp(
      withAppend(store, async (append, original) => {
        await original(append)
        throw new Failure('DATABASE_UNAVAILABLE')
      }),
    )
    const asked = envelope()
    await expect(losing.execute('provider', 'paula', register, asked)).rejects.toThrow(
      new Failure('DATABASE_UNAVAILABLE'),
    )
    expect(await losing.execute('provider', 'paula', register, asked)).toMatchObject({ repeated: true })
    expect(await typesOf(store)).toEqual(['ProviderRegistered'])
  })
})

describe('when another process writes in between', () => {
  test('the command is decided anew on what is there now', async () => {
    const store = createMemoryEventStore()
    await setUp(store).execute('account', 'ada', credit, platform())
    const disturbed = setUp(
      withAppend(store, async (append, original, count) => {
        if (count === 1) await setUp(store).execute('account', 'ada', hold('other', 60n), platform())
        return original(append)
      }),
    )
    // Both would have fitted alone; together they are more than there is.
    expect(await disturbed.execute('account', 'ada', hold('r', 60n), platform())).toMatchObject({
      events: [{ event: { type: 'HoldRefused', code: 'INSUFFICIENT_FUNDS' }, revision: 2n }],
    })
  })

  test('again and again, it gives up by name and stores nothing', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0)
    const store = createMemoryEventStore()
    let appends = 0
    const hopeless = setUp(
      withAppend(store, async ({ stream }) => {
        appends++
        return { outcome: 'conflict', stream, actual: 7n }
      }),
    )
    expect(await hopeless.execute('provider', 'paula', register, envelope())).toEqual({
      refused: 'CONFLICT_UNRESOLVED',
      details: { stream: 'provider-paula' },
    })
    expect(appends).toBe(20)
    expect(await logOf(store)).toEqual([])
  })
})

describe('when the store fails', () => {
  test('DATABASE_UNAVAILABLE passes through at once, from reading and from appending', async () => {
    const away = new Failure('DATABASE_UNAVAILABLE')
    let appends = 0
    const appending = setUp(
      withAppend(createMemoryEventStore(), async () => {
        appends++
        throw away
      }),
    )
    await expect(appending.execute('provider', 'paula', register, envelope())).rejects.toBe(away)
    expect(appends).toBe(1)
    const reading = setUp({
      ...createMemoryEventStore(),
      readStream: () => {
        throw away
      },
    })
    await expect(reading.execute('provider', 'paula', register, envelope())).rejects.toBe(away)
  })

  test('an event that cannot be stored is a failure that names it', async () => {
    const { execute, store } = setUp()
    await expect(execute('provider', 'pau\0la', register, envelope())).rejects.toMatchObject({ code: 'EVENT_INVALID' })
    expect(await logOf(store)).toEqual([])
  })

  test('the next command of the stream still runs', async () => {
    const { execute } = setUp(
      withAppend(createMemoryEventStore(), async (append, original, count) => {
        if (count === 1) throw new Failure('DATABASE_UNAVAILABLE')
        return original(append)
      }),
    )
    const failing = execute('provider', 'paula', register, envelope())
    const next = execute('provider', 'paula', register, envelope())
    await expect(failing).rejects.toThrow()
    expect(await next).toMatchObject({ outcome: 'executed', repeated: false })
  })

  test('a stored event that cannot be read stops every command of its stream', async () => {
    const { execute, load, store } = setUp()
    const stored = { id: newId(), type: 'ProviderRegistered', data: { name: 7 } }
    const metadata = { ...platform(), schemaVersion: 1 }
    await store.append({ stream: 'provider-paula', expected: 'no stream', events: [{ ...stored, metadata }] })
    await expect(load('provider', 'paula')).rejects.toMatchObject({ code: 'EVENT_UNREADABLE' })
    await expect(execute('provider', 'paula', rename('x'), platform())).rejects.toMatchObject({
      code: 'EVENT_UNREADABLE',
    })
  })
})

test('commands go one at a time per stream, in the order they came, and side by side over different streams', async () => {
  const store = createMemoryEventStore()
  const gate = Promise.withResolvers<void>()
  const reads: string[] = []
  const { execute } = setUp({
    ...withAppend(store, async (append, original) => {
      if (append.stream === 'provider-paula') await gate.promise
      return original(append)
    }),
    readStream: (stream, range) => {
      reads.push(stream)
      return store.readStream(stream, range)
    },
  })
  const line = [
    execute('provider', 'paula', register, envelope()),
    execute('provider', 'paula', rename('One'), envelope()),
    execute('provider', 'paula', rename('Two'), envelope()),
  ]
  await execute('account', 'ada', credit, platform())
  expect(reads).toEqual(['provider-paula', 'account-ada'])
  gate.resolve()
  await Promise.all(line)
  const names = (await logOf(store)).filter(({ stream }) => stream === 'provider-paula').map(({ data }) => data)
  expect(names).toMatchObject([{ name: 'Paula' }, { name: 'One' }, { name: 'Two' }])
  // No other process wrote in between, so no stream was read twice: what was appended is cached.
  expect(reads).toHaveLength(2)
})

describe('loading', () => {
  test('returns the initial state of a stream that does not exist', async () => {
    expect(await setUp().load('rental', 'nobody')).toEqual({
      state: { status: 'none' },
      revision: undefined,
      history: [],
    })
  })

  test('up to a revision gives what was known then', async () => {
    const { execute, load } = setUp()
    await execute('provider', 'paula', register, envelope())
    await execute('provider', 'paula', rename('Paulina'), envelope())
    expect(await load('provider', 'paula', 0n)).toMatchObject({ state: { name: 'Paula' }, revision: 0n })
    expect((await load('provider', 'paula', 0n)).history).toHaveLength(1)
  })
})

test('a refusal that cannot be is thrown with its code and details', async () => {
  const answer = await setUp().execute('listing', 'l', { type: 'FreeCapacity', rental: 'r' }, platform())
  expect(() => mustExecute(answer)).toThrow(new Failure('LISTING_UNKNOWN'))
})
