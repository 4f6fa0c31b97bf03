import { describe, expect, test } from '@jest/globals'
import { systemActor, userActor } from '../commands/actor.ts'
import { type Commands, mustExecute, type OutgoingCommand } from '../commands/execute.ts'
import { derivedId, newId } from '../commands/ids.ts'
import { Failure, refuse } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createMarket } from '../testing/worlds/market.ts'
import { requireEvent, runSaga, type Saga } from './saga.ts'

type Listed = Saga<'listing', 'GpusListed'>

const credit = (user: string): OutgoingCommand => ({
  to: 'account',
  id: user,
  command: { type: 'CreditDeposit', user, payment: 'gift', amount: usdc(5n) },
})
const change = (amount: bigint): OutgoingCommand => ({
  to: 'listing',
  id: 'h100',
  command: { type: 'ChangePrice', pricePerGpuHour: usdc(amount) },
})
/** Refused: this amount is not above zero. */
const impossible = change(0n)

/** Creates a listing of the provider, at which the saga starts. */
const listed = async (steps: Listed['steps'], rejected?: Listed['rejected']) => {
  const world = createMarket()
  await world.list('h100', 1)
  const process: Listed = {
    name: 'welcome',
    starts: { aggregate: 'listing', type: 'GpusListed' },
    steps,
    ...(rejected && { rejected }),
  }
  const events = async () => {
    const all = []
    for await (const event of world.store.readAll()) all.push(event)
    return all.slice(1)
  }
  const run = (from: Pick<typeof world, 'commands' | 'now'> = world) =>
    runSaga(from, process, { id: 'h100', revision: 0n })
  return { ...world, events, run }
}

describe('forwards', () => {
  test('each step sends its command under its own id, made of the trigger', async () => {
    const world = await listed([
      { name: 'one', invoke: ({ event }) => credit(event.provider) },
      { name: 'two', invoke: () => change(7n) },
    ])
    expect(await world.run()).toEqual({ outcome: 'done', position: await world.store.head() })
    const { history } = await world.commands.load('listing', 'h100')
    const trigger = history[0]?.eventId ?? ''
    expect((await world.events()).map(({ type, metadata }) => ({ type, ...metadata }))).toEqual(
      [
        { type: 'DepositCredited', step: 'one' },
        { type: 'PriceChanged', step: 'two' },
      ].map(({ type, step }) => ({
        type,
        commandId: derivedId('welcome', trigger, step),
        correlationId: history[0]?.correlationId,
        causationId: trigger,
        actor: systemActor('welcome'),
        time: world.now(),
        schemaVersion: 1,
      })),
    )
  })

  test('a step that is not needed is left out', async () => {
    const world = await listed([
      { name: 'one', invoke: () => undefined },
      { name: 'two', invoke: () => credit('ada') },
    ])
    expect(await world.run()).toMatchObject({ outcome: 'done' })
    expect((await world.events()).map(({ type }) => type)).toEqual(['DepositCredited'])
  })

  test('a step receives the events of the steps before, also in another run', async () => {
    const seen: unknown[] = []
    const world = await listed([
      { name: 'one', invoke: () => credit('ada') },
      {
        name: 'two',
        invoke: (_trigger, events) => {
          seen.push(requireEvent(events, 'DepositCredited').posting.amount)
          return undefined
        },
      },
    ])
    await world.run()
    await world.run()
    expect(seen.length).toBeGreaterThanOrEqual(2)
    for (const amount of seen) expect(amount).toEqual(usdc(5n))
    expect(await world.events()).toHaveLength(1)
  })

  test('the trigger holds the aggregate as it was then', async () => {
    const world = await listed([
      { name: 'one', invoke: ({ state }) => (state.status === 'open' ? credit('ada') : undefined) },
    ])
    const withdraw = { commandId: newId(), correlationId: 'c', causationId: 'c', time: world.now() }
    const actor = userActor('provider')
    mustExecute(await world.commands.execute('listing', 'h100', { type: 'WithdrawListing' }, { ...withdraw, actor }))
    await world.run()
    expect((await world.events()).map(({ type }) => type)).toEqual(['ListingWithdrawn', 'DepositCredited'])
  })

  test('a missing event of an earlier step is a defect', () => {
    expect(() => requireEvent({}, 'FundsHeld')).toThrow('No FundsHeld so far')
  })
})

describe('when a step is refused', () => {
  const steps: Listed['steps'] = [
    { name: 'one', invoke: () => credit('ada'), compensate: () => change(1n) },
    { name: 'two', invoke: () => credit('bob') },
    { name: 'three', invoke: () => credit('eve'), compensate: () => change(2n) },
    { name: 'four', invoke: () => impossible, compensate: () => credit('never') },
    { name: 'five', invoke: () => credit('never') },
  ]

  test('that is recorded first, and what was done is undone, last first', async () => {
    const codes: string[] = []
    const world = await listed(steps, (_trigger, code) => {
      codes.push(code)
      return credit('rejected')
    })
    expect(await world.run()).toEqual({
      outcome: 'rejected',
      code: 'LISTING_INVALID',
      position: await world.store.head(),
    })
    expect(codes).toEqual(['LISTING_INVALID'])
    const touched = (await world.events()).map(({ stream, data }) => {
      const { pricePerGpuHour } = data as { pricePerGpuHour?: { amount: string } }
      return pricePerGpuHour ? `price ${pricePerGpuHour.amount}` : stream
    })
    expect(touched).toEqual(['account-ada', 'account-bob', 'account-eve', 'account-rejected', 'price 2', 'price 1'])
  })

  test('it is compensated once, however often it is run', async () => {
    const world = await listed(steps, () => credit('rejected'))
    await world.run()
    const head = await world.store.head()
    expect(await world.run()).toMatchObject({ outcome: 'rejected', code: 'LISTING_INVALID' })
    expect(await world.store.head()).toBe(head)
  })

  test('of a process that only goes forwards, it is a defect with a name', async () => {
    const world = await listed([{ name: 'two', invoke: () => impossible }])
    const { history } = await world.commands.load('listing', 'h100')
    const details = { process: 'welcome', step: 'two', cause: history[0]?.eventId ?? '' }
    await expect(world.run()).rejects.toEqual(new Failure('LISTING_INVALID', details))
  })
})

describe('a refusal that means "try again"', () => {
  const steps: Listed['steps'] = [
    { name: 'one', invoke: () => credit('ada'), compensate: () => change(1n) },
    { name: 'two', invoke: () => credit('bob'), compensate: () => change(2n) },
    { name: 'three', invoke: () => impossible },
  ]
  /** Lets one command of the saga be beaten by others until it gives up; it leaves no event. */
  const beatenAt = (world: Awaited<ReturnType<typeof listed>>, command: number) => {
    let sent = 0
    const execute: Commands['execute'] = async (...asked) =>
      sent++ === command ? refuse('CONFLICT_UNRESOLVED') : world.commands.execute(...asked)
    return { ...world, commands: { ...world.commands, execute } }
  }
  const names = ['step one', 'step two', 'step three', 'the rejection', 'undoing two', 'undoing one']

  test.each(names.map((name, at) => ({ name, at })))(
    'at $name decides nothing, and is thrown',
    async ({ name, at }) => {
      const world = await listed(steps, () => credit('rejected'))
      const pricesChanged = async () => (await world.events()).filter(({ type }) => type === 'PriceChanged').length
      const beaten = world.run(beatenAt(world, at))
      await expect(beaten).rejects.toMatchObject({ code: 'CONFLICT_UNRESOLVED', details: { process: 'welcome' } })
      const undone = { 'undoing two': 1, 'undoing one': 1 }[name] ?? 0
      expect(await pricesChanged()).toBe(undone)
      expect(await world.run()).toMatchObject({ outcome: 'rejected', code: 'LISTING_INVALID' })
      expect((await world.events()).filter(({ stream }) => stream === 'account-rejected')).toHaveLength(1)
      expect(await pricesChanged()).toBe(2)
    },
  )

  test('is not undone when the rejection is refused, because another run was faster', async () => {
    const world = await listed(steps, () => impossible)
    await expect(world.run()).rejects.toMatchObject({ code: 'CONFLICT_UNRESOLVED' })
    expect((await world.events()).map(({ type }) => type)).toEqual(['DepositCredited', 'DepositCredited'])
  })

  test('an undo that is refused is thrown by name, and the others are done', async () => {
    const refused: Listed['steps'] = [steps[0], { ...steps[1], compensate: () => impossible }, steps[2]].flatMap(
      (step) => step ?? [],
    ) as Listed['steps']
    const world = await listed(refused, () => credit('rejected'))
    const details = { process: 'welcome', step: 'undo two' }
    await expect(world.run()).rejects.toMatchObject({ code: 'LISTING_INVALID', details })
    const prices = (await world.events()).filter(({ type }) => type === 'PriceChanged')
    expect(prices.map(({ data }) => data)).toMatchObject([{ pricePerGpuHour: { amount: '1' } }])
  })
})

test('a saga starts at its own event alone', async () => {
  const world = await listed([])
  const process: Listed = { name: 'welcome', starts: { aggregate: 'listing', type: 'GpusListed' }, steps: [] }
  await expect(runSaga(world, process, { id: 'nobody', revision: 0n })).rejects.toThrow(
    'welcome does not start at revision 0 of nobody',
  )
})
