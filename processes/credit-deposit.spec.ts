import { describe, expect, test } from '@jest/globals'
import { systemActor } from '../commands/actor.ts'
import { createCommands, mustExecute } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { usdc } from '../domain/money.testing.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { chartOf, createMarket } from '../testing/worlds/market.ts'
import { creditDeposit } from './credit-deposit.ts'
import { runSaga } from './saga.ts'

const sighting = { chainId: 31337, transactionHash: 'tx', blockNumber: 1n, blockHash: 'block' }

/** Creates a final deposit of ada that is not credited yet. */
const finalDeposit = async () => {
  const world = createMarket()
  const send = async (command: CommandOf<'payment'>) => {
    const ids = { commandId: newId(), correlationId: 'deposit', causationId: 'deposit' }
    const envelope = { ...ids, actor: systemActor('watcher'), time: world.now() }
    mustExecute(await world.commands.execute('payment', 'p', command, envelope))
  }
  await send({ type: 'ObserveDeposit', payment: 'p', user: 'ada', amount: usdc(5n), ...sighting })
  await send({ type: 'FinalizeDeposit' })
  const credit = (commands = world.commands, revision = 1n) =>
    runSaga({ commands, now: world.now }, creditDeposit, { id: 'p', revision })
  return { ...world, credit }
}
type World = Awaited<ReturnType<typeof finalDeposit>>

const expectCreditedOnce = async (world: World) => {
  expect(await world.state('account', 'ada')).toMatchObject({
    balances: new Map([['USDC/6', { available: 5n, held: 0n }]]),
  })
  const chart = await chartOf(world.store)
  expect(chart.get('transit:deposit:p')).toBe(0n)
  expect([...chart.values()].reduce((sum, amount) => sum + amount, 0n)).toBe(0n)
}

test('a final deposit becomes spendable, and nothing stays on its way', async () => {
  const world = await finalDeposit()
  expect((await chartOf(world.store)).get('transit:deposit:p')).not.toBe(0n)
  expect(await world.credit()).toMatchObject({ outcome: 'done', position: await world.store.head() })
  await expectCreditedOnce(world)
})

test('the credit names the deposit as its cause', async () => {
  const world = await finalDeposit()
  await world.credit()
  const { history } = await world.commands.load('payment', 'p')
  for await (const { metadata } of world.store.readStream('account-ada'))
    expect(metadata).toMatchObject({
      actor: systemActor('credit-deposit'),
      causationId: history[1]?.eventId,
      correlationId: 'deposit',
    })
})

test('run again, or by several processes at once, it is credited once', async () => {
  const world = await finalDeposit()
  await Promise.all([1, 2, 3].map(() => world.credit(createCommands({ store: world.store }))))
  world.pass(60)
  await world.credit()
  await expectCreditedOnce(world)
})

describe('a run that dies', () => {
  test.each(['before', 'after'])('%s its append is finished by the next run', async (when) => {
    const world = await finalDeposit()
    const dying: EventStore = {
      ...world.store,
      append: async (append) => {
        if (when === 'after') await world.store.append(append)
        throw new Error('connection lost')
      },
    }
    await expect(world.credit(createCommands({ store: dying }))).rejects.toThrow('connection lost')
    await world.credit()
    await expectCreditedOnce(world)
  })
})

test('an observed deposit is no money yet', async () => {
  const world = await finalDeposit()
  await expect(world.credit(world.commands, 0n)).rejects.toThrow('credit-deposit does not start at revision 0 of p')
  expect(await world.state('account', 'ada')).toEqual({ status: 'none' })
})
