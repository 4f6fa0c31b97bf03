import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { type AggregateName, type CommandOf, type EventOf, type StateOf, streamOf } from '../domain/aggregates.ts'
import { isRefusal, type Refusal } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { systemActor } from './actor.ts'
import type { AggregateCacheLimits } from './aggregate-cache.ts'
import { type Commands, createCommands, type Executed } from './execute.ts'
import { aggregateOf } from './recorded-event.ts'

const time = '2026-01-01T00:00:00.000Z'
const nothing: AggregateCacheLimits = { streamsMax: 0, bytesMax: 0 }
const one: AggregateCacheLimits = { streamsMax: 1, bytesMax: 1_000_000 }
const plenty: AggregateCacheLimits = { streamsMax: 100, bytesMax: 1_000_000 }

type Asked = { readonly process: 0 | 1; readonly commandId: string } & (
  | { readonly name: 'account'; readonly id: string; readonly command: CommandOf<'account'> }
  | { readonly name: 'listing'; readonly id: string; readonly command: CommandOf<'listing'> }
)

const amount = fc.integer({ min: 0, max: 5 }).map((units) => money(BigInt(units), 'USDC/6'))
const rental = fc.constantFrom('r1', 'r2')
const accountCommand: fc.Arbitrary<CommandOf<'account'>> = fc.oneof(
  fc.record({
    type: fc.constant('CreditDeposit' as const),
    user: fc.constant('ada'),
    payment: fc.constant('p'),
    amount,
  }),
  fc.record({
    type: fc.constant('HoldFunds' as const),
    user: fc.constant('ada'),
    rental,
    amount,
    at: fc.constant(time),
    notAfter: fc.constant(time),
  }),
  fc.record({ type: fc.constant('CaptureHold' as const), rental, charge: amount }),
  fc.record({ type: fc.constant('ReleaseHold' as const), rental }),
)
const listingCommand: fc.Arbitrary<CommandOf<'listing'>> = fc.oneof(
  amount.map((pricePerGpuHour) => ({
    type: 'ListGpus' as const,
    listedAt: time,
    provider: 'paula',
    gpu: 'H100',
    gpuCount: 2,
    vramMib: 1,
    vcpus: 1,
    memoryMib: 1,
    region: 'FR',
    pricePerGpuHour,
  })),
  amount.map((pricePerGpuHour) => ({ type: 'ChangePrice' as const, pricePerGpuHour })),
  rental.map((rental) => ({ type: 'FreeCapacity' as const, rental })),
)
/** Few ids, so that many a command comes again, also with other content and from the other process. */
const common = {
  process: fc.constantFrom(0 as const, 1 as const),
  commandId: fc.integer({ min: 0, max: 20 }).map((number) => `command ${number}`),
}
const asked: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({
    ...common,
    name: fc.constant('account' as const),
    id: fc.constantFrom('ada', 'bob'),
    command: accountCommand,
  }),
  fc.record({ ...common, name: fc.constant('listing' as const), id: fc.constant('l'), command: listingCommand }),
)

type Answer = Executed<AggregateName> | Refusal

/** Returns the id of a command. A command goes to one stream, so another stream is another command. */
const commandIdOf = ({ name, id, commandId }: Asked) => `${commandId} to ${streamOf(name, id)}`

const ask = (commands: Commands, asked: Asked): Promise<Answer> =>
  commands.execute(asked.name as AggregateName, asked.id, asked.command, {
    commandId: commandIdOf(asked),
    correlationId: 'correlation',
    causationId: 'cause',
    actor: systemActor('test'),
    time,
  })

/** Removes the id of the store, which differs between stores, from positions. */
const withoutStore = (value: unknown, store: EventStore): unknown => {
  if (typeof value === 'string') return value.replace(store.start.slice(0, -20), '')
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => withoutStore(item, store))
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, withoutStore(item, store)]))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutStore(item, store)]))
}

const logOf = async (store: EventStore) => {
  const events = []
  for await (const event of store.readAll()) events.push(withoutStore(event, store))
  return events
}

beforeEach(() => {
  jest.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(() => {
  jest.restoreAllMocks()
})

test('two processes with caches answer and write the same as two that fold everything for each command', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(asked, { maxLength: 60, size: 'max' }),
      fc.constantFrom(one, plenty),
      async (steps, limits) => {
        const stores = [createMemoryEventStore(), createMemoryEventStore()] as const
        const processesOn = (store: EventStore, cacheLimits: AggregateCacheLimits) =>
          [createCommands({ store, cacheLimits }), createCommands({ store, cacheLimits })] as const
        const caching = processesOn(stores[0], limits)
        const folding = processesOn(stores[1], nothing)
        for (const step of steps) {
          const answer = await ask(caching[step.process], step)
          expect(withoutStore(answer, stores[0])).toEqual(
            withoutStore(await ask(folding[step.process], step), stores[1]),
          )
        }
        expect(await logOf(stores[0])).toEqual(await logOf(stores[1]))
        for (const { name, id, process } of steps) {
          const { state, revision } = await caching[process].current(name as AggregateName, id)
          const loaded = await folding[process].load(name as AggregateName, id)
          expect({ state, revision }).toEqual({ state: loaded.state, revision: loaded.revision })
        }
      },
    ),
    { numRuns: 150 },
  )
}, 120_000)

describe('calls in any order', () => {
  /** Returns a store with calls that wait for the scheduler. What was read is old when it is returned. */
  const scheduled = (store: EventStore, scheduler: fc.Scheduler): EventStore => ({
    ...store,
    append: async (append) => {
      await scheduler.schedule(Promise.resolve())
      const answer = await store.append(append)
      await scheduler.schedule(Promise.resolve())
      return answer
    },
    async *readStream(stream, range) {
      await scheduler.schedule(Promise.resolve())
      const events = []
      for await (const event of store.readStream(stream, range)) events.push(event)
      await scheduler.schedule(Promise.resolve())
      yield* events
    },
  })

  /** Returns the states of a stream: before its first event and after each one. */
  const statesOf = <Name extends AggregateName>(name: Name, events: readonly EventOf<Name>[]): StateOf<Name>[] => {
    const { initial, evolve } = aggregateOf(name)
    const states = [initial]
    for (const event of events) states.push(evolve(states.at(-1) ?? initial, event))
    return states
  }

  test('an answer is what was right at some moment between question and answer, and each command counts once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(asked, { minLength: 1, maxLength: 12, size: 'max' }),
        async (scheduler, steps) => {
          const store = createMemoryEventStore()
          const slow = scheduled(store, scheduler)
          const processes = [
            createCommands({ store: slow, cacheLimits: plenty }),
            createCommands({ store: slow, cacheLimits: one }),
          ] as const
          const lengthOf = async ({ name, id }: Asked) => (await reader.load(name as AggregateName, id)).history.length
          const reader = createCommands({ store, cacheLimits: nothing })
          const answers = await scheduler.waitFor(
            Promise.all(
              steps.map(async (step) => {
                const begin = await lengthOf(step)
                const answer = await ask(processes[step.process], step)
                return { step, answer, begin, end: await lengthOf(step) }
              }),
            ),
          )
          for (const { step, answer, begin, end } of answers) {
            const { history } = await reader.load(step.name as AggregateName, step.id)
            const states = statesOf(
              step.name as AggregateName,
              history.map(({ event }) => event),
            )
            const decided = (revision: number) =>
              aggregateOf(step.name as AggregateName).decide(step.command, states[revision] as StateOf<AggregateName>)
            const stored = await Array.fromAsync(store.readStream(streamOf(step.name, step.id)))
            const isOwn = (index: number) => stored[index]?.metadata.commandId === commandIdOf(step)
            const own = history.filter((_, index) => isOwn(index))
            if (isRefusal(answer) || answer.events.length === 0) {
              const moments = Array.from({ length: end - begin + 1 }, (_, index) => decided(begin + index))
              expect(moments).toContainEqual(isRefusal(answer) ? answer : [])
              // It was not known yet when it was asked.
              expect(own.every(({ revision }) => revision >= BigInt(begin))).toBe(true)
              continue
            }
            expect(answer.events.map(({ eventId }) => eventId)).toEqual(own.map(({ eventId }) => eventId))
            expect(answer.events.map(({ event }) => event)).toEqual(own.map(({ event }) => event))
            expect(states).toContainEqual(answer.state)
            if (!answer.repeated)
              expect(decided(Number(own[0]?.revision))).toMatchObject(answer.events.map(({ event }) => event))
          }
          const firsts = answers.filter(
            ({ answer }) => !isRefusal(answer) && answer.events.length > 0 && !answer.repeated,
          )
          const names = firsts.map(({ step }) => commandIdOf(step))
          expect(names).toHaveLength(new Set(names).size)
        },
      ),
      { numRuns: 150 },
    )
  }, 120_000)
})
