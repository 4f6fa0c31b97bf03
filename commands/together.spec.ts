import { describe, expect, test } from '@jest/globals'
import type { DomainEvent } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { oneByOne } from '../testing/worlds/market.ts'
import { systemActor } from './actor.ts'
import { createCommands, type NextCommand, requestEnvelope } from './execute.ts'
import { newId } from './ids.ts'

const time = '2026-01-01T00:00:00.000Z'
const envelope = (commandId = newId()) => requestEnvelope(commandId, systemActor('test'), time)

const credit =
  (user: string, amount = 5n, sent = envelope()): NextCommand =>
  () => ({
    to: 'account',
    id: user,
    command: { type: 'CreditDeposit', user, payment: 'gift', amount: usdc(amount) },
    envelope: sent,
  })

/** Creates commands that know the accounts of ada, bob and eve, of which ada's alone exists. */
const setUp = async (engine: (store: EventStore) => EventStore = (store) => store) => {
  const inner = createMemoryEventStore()
  const sent: number[] = []
  const store = engine({
    ...inner,
    appendToMany: async (appends) => {
      sent.push(appends.length)
      return inner.appendToMany(appends)
    },
  })
  const commands = createCommands({ store })
  await commands.execute(
    'account',
    'ada',
    { type: 'CreditDeposit', user: 'ada', payment: 'p', amount: usdc(1n) },
    envelope(),
  )
  for (const user of ['ada', 'bob', 'eve']) await commands.current('account', user)
  const streams = async () => (await Array.fromAsync(inner.readAll())).slice(1).map(({ stream }) => stream)
  return { ...commands, inner, sent, streams }
}

test('commands to several streams, new ones among them, are one append, and each gets its answer', async () => {
  const { executeTogether, sent, streams, inner } = await setUp()
  const answers = await executeTogether([credit('bob'), () => undefined, credit('ada'), credit('eve', 2n)])
  expect(answers).toMatchObject([
    { outcome: 'executed', repeated: false, events: [{ revision: 0n }], state: { user: 'bob' } },
    undefined,
    { events: [{ revision: 1n }], state: { balances: new Map([['USDC/6', { available: 6n, held: 0n }]]) } },
    { events: [{ revision: 0n }], position: await inner.head() },
  ])
  expect([sent, await streams()]).toEqual([[3], ['account-bob', 'account-ada', 'account-eve']])
})

test('each command is made from the events of those before it', async () => {
  const { executeTogether } = await setUp()
  const seen: (readonly DomainEvent[])[] = []
  const then =
    (next: NextCommand): NextCommand =>
    (before) => {
      seen.push([...before])
      return next(before)
    }
  await executeTogether([credit('bob', 3n), then(credit('ada')), then(() => 'stop')])
  const first = { type: 'DepositCredited', user: 'bob', posting: { amount: usdc(3n) } }
  expect(seen).toMatchObject([[first], [first, { user: 'ada' }]])
})

describe('as far as that can be', () => {
  const cases: Readonly<Record<string, readonly NextCommand[]>> = {
    'a command that is refused': [credit('bob', 0n)],
    'a command whose stream was never looked at': [credit('stranger')],
    'a second command to a stream': [credit('ada', 2n)],
    'a command that may not be sent': [() => 'stop'],
  }
  test.each(Object.entries(cases))('the commands before %s', async (_, rest) => {
    const { executeTogether, sent, streams } = await setUp()
    expect(await executeTogether([credit('ada'), credit('eve'), ...rest, credit('bob')])).toHaveLength(2)
    expect([sent, await streams()]).toEqual([[2], ['account-ada', 'account-eve']])
    // One command alone is none of these.
    expect(await executeTogether([credit('ada'), ...rest])).toEqual([])
    expect(sent).toEqual([2])
  })

  test('a command that was answered before is left to be found', async () => {
    const { execute, executeTogether, sent } = await setUp()
    const known = envelope()
    const command = { type: 'CreditDeposit', user: 'ada', payment: 'gift', amount: usdc(5n) } as const
    await execute('account', 'ada', command, known)
    expect(await executeTogether([credit('ada', 5n, known), credit('bob'), credit('eve')])).toEqual([])
    expect(await execute('account', 'ada', command, known)).toMatchObject({ repeated: true })
    expect(sent).toEqual([])
  })

  test('none on an engine that appends to one stream at a time', async () => {
    const { executeTogether, sent } = await setUp(oneByOne)
    expect(await executeTogether([credit('ada'), credit('bob')])).toEqual([])
    expect(sent).toEqual([])
  })

  test('none while another command is at one of the streams, which waits for nobody', async () => {
    const gate = Promise.withResolvers<void>()
    const { execute, executeTogether, sent } = await setUp((store) => ({
      ...store,
      append: async (append) => {
        if (append.stream === 'account-bob') await gate.promise
        return store.append(append)
      },
    }))
    const bob = { type: 'CreditDeposit', user: 'bob', payment: 'p', amount: usdc(1n) } as const
    const busy = execute('account', 'bob', bob, envelope())
    await new Promise(setImmediate)
    expect(await executeTogether([credit('ada'), credit('bob')])).toEqual([])
    expect(sent).toEqual([])
    gate.resolve()
    await busy
    expect(await executeTogether([credit('ada'), credit('bob')])).toHaveLength(2)
  })
})

test('what other processes have written is read, and met twice it is left to the commands alone', async () => {
  let meddling = 1
  const { executeTogether, sent, inner, streams } = await setUp((store) => ({
    ...store,
    appendToMany: async (appends) => {
      if (meddling-- > 0) await createCommands({ store: inner }).execute('account', 'bob', bob, envelope())
      return store.appendToMany(appends)
    },
  }))
  const bob = { type: 'CreditDeposit', user: 'bob', payment: 'p', amount: usdc(1n) } as const
  expect(await executeTogether([credit('ada'), credit('bob')])).toMatchObject([{}, { events: [{ revision: 1n }] }])
  expect([sent, await streams()]).toEqual([
    [2, 2],
    ['account-bob', 'account-ada', 'account-bob'],
  ])
  meddling = 2
  expect(await executeTogether([credit('ada'), credit('bob')])).toEqual([])
  expect(sent).toEqual([2, 2, 2, 2])
})

test('an event that cannot be stored is left to its own command', async () => {
  const { executeTogether, streams } = await setUp((store) => ({
    ...store,
    appendToMany: async ([first]) => {
      throw new Failure('EVENT_INVALID', { stream: first?.stream ?? '', reason: 'too large' })
    },
  }))
  expect(await executeTogether([credit('ada'), credit('bob')])).toEqual([])
  expect(await streams()).toEqual([])
})

test('after an append whose outcome is unknown, the same commands are answered once', async () => {
  const isAway = { yes: true }
  const { execute, executeTogether, streams } = await setUp((store) => ({
    ...store,
    appendToMany: async (appends) => {
      const outcome = await store.appendToMany(appends)
      if (isAway.yes) throw new Failure('DATABASE_UNAVAILABLE')
      return outcome
    },
  }))
  const [one, two] = [envelope(), envelope()]
  const again = () => executeTogether([credit('ada', 5n, one), credit('bob', 5n, two)])
  await expect(again()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  isAway.yes = false
  expect(await again()).toEqual([])
  for (const [user, sent] of [
    ['ada', one],
    ['bob', two],
  ] as const) {
    const command = { type: 'CreditDeposit', user, payment: 'gift', amount: usdc(5n) } as const
    expect(await execute('account', user, command, sent)).toMatchObject({ repeated: true })
  }
  expect(await streams()).toEqual(['account-ada', 'account-bob'])
})
