// Several processes that all write to one stream: a listing that all renters want, the account of a large provider.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { isRefusal } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import { sleep } from '../infra/async/sleep.ts'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import { openPostgresTurns } from '../infra/turns/postgres.ts'
import { eventually } from '../testing/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../testing/servers/database.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { systemActor } from './actor.ts'
import { type Commands, createCommands } from './execute.ts'
import { newId } from './ids.ts'

const processes = 8
const commandsOfSlowOne = 20

let home: TestDatabase

beforeAll(async () => {
  home = await createTestDatabase()
})
afterAll(() => home.drop())

/** Opens what a process has: its own connections, its own view of the log, its own cache. `appendDelayMs` is how far it
 *  is from the database. */
const openProcess = async (appendDelayMs = 0) => {
  const database = home.connect()
  const opened = await openPostgresEventStore({ database })
  const turns = await openPostgresTurns({ database, log: silentLog })
  const append: typeof opened.append = async (asked) => {
    if (appendDelayMs > 0) await sleep(appendDelayMs)
    return opened.append(asked)
  }
  const commands = createCommands({ store: { ...opened, append }, turns })
  const close = async () => {
    await turns.close()
    await opened.close()
  }
  return { commands, close }
}

const credit = async ({ execute }: Commands, user: string) => {
  const envelope = {
    correlationId: 'c',
    causationId: 'c',
    actor: systemActor('test'),
    time: '2026-01-01T00:00:00.000Z',
  }
  const command = { type: 'CreditDeposit', user, payment: newId(), amount: money(1n, 'USDC/6') } as const
  return execute('account', user, command, { ...envelope, commandId: newId() })
}

test('each command of 8 processes is answered, also those of a slow one beside others that never pause', async () => {
  const [slow, ...fast] = await Promise.all([
    openProcess(20),
    ...Array.from({ length: processes - 1 }, () => openProcess()),
  ])
  let isDone = false
  const answers: unknown[] = []
  const busy = fast.map(async ({ commands }) => {
    while (!isDone) answers.push(await credit(commands, 'ada'))
  })
  const asked = []
  for (let count = 0; count < commandsOfSlowOne; count++) asked.push(await credit(slow.commands, 'ada'))
  isDone = true
  await Promise.all(busy)
  expect([...asked, ...answers].filter(isRefusal)).toEqual([])
  const { state } = await slow.commands.current('account', 'ada')
  const available = BigInt(asked.length + answers.length)
  expect(state).toMatchObject({ balances: new Map([['USDC/6', { available, held: 0n }]]) })
  await Promise.all([slow, ...fast].map(({ close }) => close()))
}, 60_000)

describe('a turn', () => {
  test('that cannot be had is done without, and what the work answers or throws counts once', async () => {
    const listen = async () => ({ close: async () => undefined })
    const query = async () => []
    const turnless = await openPostgresTurns({
      database: {
        listen,
        query,
        transaction: async () => {
          throw new Error('no connection')
        },
      },
      log: silentLog,
    })
    let calls = 0
    expect(await turnless.exclusively('s', async () => ++calls)).toBe(1)
    const failing = turnless.exclusively('s', async () => {
      calls += 1
      throw new Error(`call ${calls}`)
    })
    await expect(failing).rejects.toThrow('call 2')
    const losing = await openPostgresTurns({
      database: {
        listen,
        query,
        transaction: async (_, work) => {
          await work(query)
          throw new Error('the commit was lost')
        },
      },
      log: silentLog,
    })
    expect(await losing.exclusively('s', async () => ++calls)).toBe(3)
  })

  test('is taken by all processes once one of them is beaten, and by none a while later', async () => {
    const [one, two] = await Promise.all(
      [home.connect(), home.connect()].map((database) => openPostgresTurns({ database, log: silentLog })),
    )
    if (!one || !two) throw new Error('no turns')
    expect(two.isContested('account-bob')).toBe(false)
    await one.contest('account-bob')
    expect(one.isContested('account-bob')).toBe(true)
    await eventually('the other process to be told', () => two.isContested('account-bob'))
    expect(two.isContested('account-eve')).toBe(false)
    await eventually('the turns to end', () => !one.isContested('account-bob') && !two.isContested('account-bob'))
    await Promise.all([one.close(), two.close()])
  })
})
