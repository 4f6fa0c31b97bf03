import { describe, expect, test } from '@jest/globals'
import { systemActor } from '../commands/actor.ts'
import { type Commands, createCommands, mustExecute } from '../commands/execute.ts'
import { derivedId, newId } from '../commands/ids.ts'
import { Failure } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { createMarket, withAppends } from '../testing/worlds/market.ts'
import { retryHandler, runSubscriber } from './subscriber.ts'
import type { Schedule } from './timers.ts'

const market = async () => {
  const world = createMarket()
  await world.list('h100', 20)
  await world.deposit('ada', 100_000_000n)
  /** Leaves a request that died before its first step. */
  const request = async (rental: string, listing = 'h100') => {
    const ids = { commandId: newId(), correlationId: rental, causationId: rental }
    const envelope = { ...ids, actor: systemActor('test'), time: world.now() }
    const terms = { listing, renter: 'ada', gpuCount: 1, seconds: 60n, maxPricePerGpuHour: usdc(4_000_000n) }
    const command = { type: 'RequestRental', requestedAt: world.now(), ...terms } as const
    mustExecute(await world.commands.execute('rental', rental, command, envelope))
  }
  const status = async (rental: string) => (await world.state('rental', rental)).status
  return { ...world, request, status }
}
type World = Awaited<ReturnType<typeof market>>

/** Returns a bus that delivers all events as one batch, and then again from there; it stops when all are handled. */
const busOf = (store: EventStore) => {
  const asked: { consumer: string; types: readonly string[] }[] = []
  let after: Awaited<ReturnType<EventStore['head']>> | undefined
  const bus: Bus = {
    name: 'spec',
    position: async () => after,
    consume: async ({ consumer, filter, handle }) => {
      asked.push({ consumer, types: filter.types ?? [] })
      for (;;) {
        const events = []
        for await (const event of store.readAll({ ...filter, ...(after && { after }) })) events.push(event)
        const last = events.at(-1)
        if (!last) return
        await handle({ events, position: last.position, bytes: 0 })
        after = last.position
      }
    },
  }
  return { bus, asked }
}

const start = (world: World, commands: Commands = world.commands, bus = busOf(world.store).bus) => {
  const queue = new Map<string, { name: string; payload: unknown; runAt: string }>()
  const schedule: Schedule = async (name, payload, { key, runAt }) => {
    queue.set(key, { name, payload, runAt })
  }
  const begun: string[][] = []
  const activated = async (...rental: string[]) => {
    begun.push(rental)
  }
  const { signal } = new AbortController()
  const over: string[] = []
  const ended = async (rental: string) => {
    over.push(rental)
  }
  const done = runSubscriber({ bus, commands, now: world.now, schedule, activated, ...noEndings, ended, signal })
  return { done, queue, begun, over }
}

/** Creates commands that fail for one stream while `broken.yes` is set. */
const failingAt = (world: World, stream: string, error: Error, broken: { yes: boolean }) =>
  createCommands({
    store: withAppends(world.store, async (append, streams) => {
      if (streams.includes(stream) && broken.yes) throw error
      return append()
    }),
  })

test('a saga that died half way is run to its end, and the timers of the rental are set', async () => {
  const world = await market()
  await world.request('one')
  await world.request('two', 'nowhere')
  const { done, queue, begun } = start(world)
  await done
  expect([await world.status('one'), await world.status('two')]).toEqual(['active', 'rejected'])
  expect(begun).toEqual([['one', '2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z']])
  expect(queue).toEqual(new Map())
})

test('a rental that has ended is settled, and a final deposit credited', async () => {
  const world = await market()
  await world.request('one')
  await start(world).done
  const envelope = { correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() }
  const end = { type: 'EndRental', reason: 'returned', runSeconds: 30n, endedAt: world.now() } as const
  mustExecute(await world.commands.execute('rental', 'one', end, { ...envelope, commandId: newId() }))
  const seen = { payment: 'p', user: 'bob', amount: usdc(7n), chainId: 1, transactionHash: 't', blockHash: 'b' }
  const observe = { type: 'ObserveDeposit', blockNumber: 1n, ...seen } as const
  mustExecute(await world.commands.execute('payment', 'p', observe, { ...envelope, commandId: newId() }))
  const finalize = { type: 'FinalizeDeposit' } as const
  mustExecute(await world.commands.execute('payment', 'p', finalize, { ...envelope, commandId: newId() }))
  const { done, begun, over } = start(world)
  await done
  expect(await world.status('one')).toBe('settled')
  expect(await world.state('account', 'bob')).toMatchObject({
    balances: new Map([['USDC/6', { available: 7n, held: 0n }]]),
  })
  // It began, but it is over: there is no timer to set, and those that were set are removed.
  expect(begun).toEqual([])
  expect(new Set(over)).toEqual(new Set(['one']))
})

test('a rental that ends while its timers are set has none in the end', async () => {
  const world = await market()
  await world.request('one')
  const timers = new Set<string>()
  const envelope = { correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() }
  const end = { type: 'EndRental', reason: 'returned', runSeconds: 0n, endedAt: world.now() } as const
  const ended = async (rental: string) => {
    timers.delete(rental)
  }
  const activated = async (rental: string) => {
    // Another process ends it and removes its timers, just before they are set here.
    mustExecute(await world.commands.execute('rental', rental, end, { ...envelope, commandId: newId() }))
    await ended(rental)
    timers.add(rental)
  }
  const { bus } = busOf(world.store)
  const { signal } = new AbortController()
  const schedule: Schedule = async () => undefined
  const worker = { bus, commands: world.commands, now: world.now, schedule, signal }
  await runSubscriber({ ...worker, ...noEndings, activated, ended })
  expect(await world.status('one')).toBe('settled')
  expect(timers).toEqual(new Set())
})

test('only what starts a process is asked for, under one name', async () => {
  const world = await market()
  const { bus, asked } = busOf(world.store)
  await start(world, world.commands, bus).done
  const sagaTypes = ['RentalRequested', 'RentalEnded', 'DepositFinalized']
  const types = [...sagaTypes, 'RentalActivated', 'RentalEndRequested', 'JobSucceeded', 'JobFailed', 'JobStopped']
  expect(asked).toEqual([{ consumer: 'processes', types }])
})

const noTimers = async () => undefined
const noEndings = { jobEnded: async () => undefined, endRequested: async () => undefined, ended: noTimers }

describe('a handler that meets an unexpected error', () => {
  test('goes to the queue, and all other sagas go on', async () => {
    const world = await market()
    for (let index = 0; index < 10; index++) await world.request(`r${index}`)
    const broken = { yes: true }
    const commands = failingAt(world, 'rental-r3', new Error('what?'), broken)
    const { done, queue, begun } = start(world, commands)
    await done
    for (let index = 0; index < 10; index++)
      expect(await world.status(`r${index}`)).toBe(index === 3 ? 'requested' : 'active')
    expect(begun).toHaveLength(9)
    const payload = { process: 'rent-a-gpu', id: 'r3', revision: '0' }
    expect(queue).toEqual(new Map([['walk:rent-a-gpu:r3:0', { name: 'walk', payload, runAt: world.now() }]]))

    await expect(retryHandler({ ...world, commands, activated: noTimers, ...noEndings }, payload)).rejects.toThrow(
      'what?',
    )
    broken.yes = false
    await retryHandler({ ...world, commands, activated: noTimers, ...noEndings }, payload)
    expect(await world.status('r3')).toBe('active')
  })

  test('also when that is a refusal that cannot be', async () => {
    const world = await market()
    const ids = { commandId: newId(), correlationId: 'c', causationId: 'c' }
    const envelope = { ...ids, actor: systemActor('test'), time: world.now() }
    const lease = { provider: 'p', gpu: 'H100', pricePerGpuHour: usdc(1n), held: usdc(1n), startedAt: world.now() }
    const activate = { type: 'ActivateRental', endsAt: world.now(), ...lease } as const
    const end = { type: 'EndRental', reason: 'returned', runSeconds: 0n, endedAt: world.now() } as const
    await world.request('one', 'nowhere')
    await world.commands.execute('rental', 'one', activate, envelope)
    await world.commands.execute('rental', 'one', end, { ...envelope, commandId: newId() })
    // Its money was never held: there is nothing to capture.
    const failed = { process: 'settle', step: 'capture' }
    const { done, queue } = start(world)
    await done
    // Its request is taken as done, since the rental is active.
    expect([...queue.keys()]).toEqual(['walk:settle:one:2'])
    await expect(
      retryHandler({ ...world, activated: noTimers, ...noEndings }, { process: 'settle', id: 'one', revision: '2' }),
    ).rejects.toMatchObject({
      code: 'HOLD_UNKNOWN',
      details: failed,
    })
  })
})

test('while the database is away the batch is delivered again, and nothing goes to the queue', async () => {
  const world = await market()
  await world.request('one')
  await world.request('two')
  const broken = { yes: true }
  const away = new Failure('DATABASE_UNAVAILABLE')
  const commands = failingAt(world, 'rental-one', away, broken)
  const { bus } = busOf(world.store)
  const first = start(world, commands, bus)
  await expect(first.done).rejects.toBe(away)
  expect(first.queue).toEqual(new Map())
  broken.yes = false
  const second = start(world, commands, bus)
  await second.done
  expect([await world.status('one'), await world.status('two')]).toEqual(['active', 'active'])
  expect(second.queue).toEqual(new Map())
  expect(second.begun.map(([rental]) => rental).sort()).toEqual(['one', 'two'])
})

test('a batch is handed over again when the task queue cannot take a handler', async () => {
  const world = await market()
  await world.request('one')
  const commands = failingAt(world, 'rental-one', new Error('what?'), { yes: true })
  const schedule: Schedule = async () => {
    throw new Failure('DATABASE_UNAVAILABLE')
  }
  const { signal } = new AbortController()
  const { bus } = busOf(world.store)
  const activated = async () => undefined
  await expect(
    runSubscriber({ bus, commands, now: world.now, schedule, activated, ...noEndings, signal }),
  ).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
  })
  expect(await bus.position('processes')).toBeUndefined()
})

test('a few sagas run side by side, not one after the other and not all at once', async () => {
  const world = await market()
  for (let index = 0; index < 20; index++) await world.request(`r${index}`)
  let running = 0
  let most = 0
  const commands: Commands = {
    ...world.commands,
    executeTogether: async () => [],
    execute: async (...command) => {
      const reserves = command[2].type === 'ReserveCapacity'
      if (reserves) most = Math.max(most, ++running)
      const answer = await world.commands.execute(...command)
      if (reserves) running--
      return answer
    },
  }
  await start(world, commands).done
  expect(most).toBe(8)
})

test('an unknown handler is not retried', async () => {
  const world = await market()
  const unknown = { process: 'dance', id: derivedId('x'), revision: '0' }
  await expect(retryHandler({ ...world, activated: noTimers, ...noEndings }, unknown)).rejects.toThrow(
    'There is no process dance',
  )
})
