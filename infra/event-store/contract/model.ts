// Random appends, reads and subscriptions, run on an engine and on its model in memory; the results must be equal.
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createMemoryEventStore } from '../memory.ts'
import type { Append, Batch, Capabilities, EventStore, NewEvent, Position } from '../port.ts'
import { collect } from './world.ts'

/** An engine, and how it is compared with the model. */
type ComparedEngine = {
  readonly name: string
  /** Opens a new, empty store; the suite closes it. */
  readonly open: () => Promise<EventStore>
  readonly capabilities: Capabilities
  /** `counted`: the engine's positions count events like the model's, and its batches have the same bounds. `other`:
   *  positions are compared by their order alone, and batches by their events. */
  readonly positions: 'counted' | 'other'
  /** How many steps in the normal run, for an engine where the default would take long. */
  readonly operations?: number
}

const operationsDefault = 10_000
const operationsPerRunMax = 100
const digitCount = 20

/** A store whose positions are numbered from 1; 0 is its start. */
type NumberedStore = {
  readonly store: EventStore
  readonly positionAt: (number: number) => Promise<Position>
  /** Replaces the positions in a result by numbers, so that equal results of two stores compare as equal. */
  readonly withNumbers: (result: unknown) => Promise<unknown>
}

/** One step of a random run; `run` resolves to the result of the store. */
type Operation = {
  readonly name: string
  readonly input?: unknown
  readonly run: (numbered: NumberedStore) => Promise<unknown>
}

const toText = (result: unknown) =>
  JSON.stringify(result, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)) ?? 'null'

/** Numbers positions that may differ from the model's in their prefix alone, the id of the store. */
const counted = (store: EventStore): NumberedStore => {
  const prefix = store.start.slice(0, -digitCount)
  return {
    store,
    positionAt: async (number) => store.parsePosition(`${prefix}${String(number).padStart(digitCount, '0')}`),
    withNumbers: async (result) => JSON.parse(toText(result).replaceAll(prefix, '')),
  }
}

/** Numbers positions that must agree with the model's in their order alone. A number beyond the last position stands
 *  for the last. */
const ordered = (store: EventStore): NumberedStore => {
  const positions: Position[] = []
  const numberOf = new Map<string, number>([[store.start, 0]])
  const readFurther = async () => {
    const after = positions.at(-1)
    for await (const { position } of store.readAll(after === undefined ? {} : { after }))
      numberOf.set(position, positions.push(position))
  }
  const positionPattern = new RegExp(`${store.start.replace(/0{20}/g, '\\d{20}')}`, 'g')
  return {
    store,
    positionAt: async (number) => {
      await readFurther()
      return positions[Math.min(number, positions.length) - 1] ?? store.start
    },
    withNumbers: async (result) => {
      const text = toText(result)
      if ([...text.matchAll(positionPattern)].some(([position]) => !numberOf.has(position))) await readFurther()
      return JSON.parse(text.replaceAll(positionPattern, (position) => `#${numberOf.get(position)}`))
    },
  }
}

const small = fc.integer({ min: 0, max: 12 })
const optional = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined })
const stream = fc.constantFrom('a', 'a-1', 'a-2', 'b%', 'b_', 'ä', '\u{1f600}')
const type = fc.constantFrom('Red', 'Green', 'Blue')
const time = small.map((n) => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString())

/** Few ids, so that many of them are stored already, mostly with the same content. */
const event: fc.Arbitrary<NewEvent> = fc
  .record({
    number: fc.integer({ min: 0, max: 60 }),
    fresh: fc.option(fc.uuid(), { freq: 2, nil: undefined }),
    type: fc.option(type, { freq: 1, nil: undefined }),
    data: fc.option(fc.jsonValue({ maxDepth: 3 }), { freq: 1, nil: undefined }),
    time,
  })
  .map(({ number, fresh, type, data, time }) => ({
    id: fresh ?? `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    type: type ?? 'Red',
    data: (data ?? { number }) as NewEvent['data'],
    metadata: { commandId: 'c', correlationId: 'c', causationId: 'c', actor: 'ada', time, schemaVersion: 1 },
  }))

const append: fc.Arbitrary<Append> = fc.record({
  stream,
  expected: fc.oneof(
    fc.constantFrom('any' as const, 'any' as const, 'no stream' as const, 'stream exists' as const),
    small.map(BigInt),
  ),
  events: fc.array(event, { minLength: 0, maxLength: 4 }),
})

const direction = fc.constantFrom('forwards' as const, 'backwards' as const)
const filter = {
  types: optional(fc.subarray(['Red', 'Green', 'Blue'])),
  streamPrefix: optional(fc.constantFrom('', 'a', 'b%', 'b', 'ä')),
}

const defined = <Value extends object>(value: Value): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never

const appending: fc.Arbitrary<Operation> = append.map((one) => ({
  name: 'append',
  input: one,
  run: ({ store }) => store.append(one),
}))

const appendingToMany: fc.Arbitrary<Operation> = fc.array(append, { maxLength: 3 }).map((many) => ({
  name: 'appendToMany',
  input: many,
  run: ({ store }) => store.appendToMany(many),
}))

const readingStream: fc.Arbitrary<Operation> = fc
  .record({
    stream,
    until: optional(small),
    direction,
    from: optional(small.map(BigInt)),
    limit: optional(small),
    untilTime: optional(time),
  })
  .map(({ stream, until, ...range }) => ({
    name: 'readStream',
    input: { stream, until, ...range },
    run: async ({ store, positionAt }) => {
      const untilPosition = until === undefined ? undefined : await positionAt(until)
      return collect(store.readStream(stream, defined({ ...range, untilPosition })))
    },
  }))

const readingAll: fc.Arbitrary<Operation> = fc
  .record({ ...filter, after: optional(small), direction, limit: optional(small) })
  .map(({ after, ...range }) => ({
    name: 'readAll',
    input: { after, ...range },
    run: async ({ store, positionAt }) => {
      const from = after === undefined ? undefined : await positionAt(after)
      return collect(store.readAll(defined({ ...range, after: from })))
    },
  }))

const subscribing = (exactly: boolean): fc.Arbitrary<Operation> =>
  fc.record({ ...filter, after: small, batchSize: fc.integer({ min: 1, max: 5 }) }).map(({ after, ...options }) => ({
    name: 'subscribe',
    input: { after, ...options },
    run: async ({ store, positionAt }) => {
      const head = await store.head()
      const from = await positionAt(after)
      const batches: Batch[] = []
      if (from >= head) return batches
      const signal = AbortSignal.timeout(30_000)
      for await (const batch of store.subscribe({ ...defined(options), after: from, signal })) {
        expect(batch.events.length).toBeLessThanOrEqual(options.batchSize)
        batches.push(batch)
        if (batch.position >= head) break
      }
      return exactly ? batches : batches.flatMap(({ events }) => events)
    },
  }))

const head: fc.Arbitrary<Operation> = fc.constant({ name: 'head', run: ({ store }) => store.head() })

const operationOn = ({ capabilities, positions }: ComparedEngine): fc.Arbitrary<Operation> =>
  fc.oneof(
    { weight: 6, arbitrary: appending },
    { weight: capabilities.appendToMany ? 2 : 0, arbitrary: appendingToMany },
    { weight: 2, arbitrary: readingStream },
    { weight: 2, arbitrary: readingAll },
    { weight: 1, arbitrary: subscribing(positions === 'counted') },
    { weight: 1, arbitrary: head },
  )

const resultOf = async (numbered: NumberedStore, { run }: Operation): Promise<unknown> => {
  try {
    return await numbered.withNumbers(await run(numbered))
  } catch (error) {
    const { code, details } = error as { code?: string; details?: unknown }
    if (code === undefined) throw error
    return { code, details }
  }
}

/** Declares a test that runs the same random steps on an engine and on the model, and compares each result. The
 *  environment variable EVENT_STORE_MODEL_OPERATIONS sets the number of steps. */
export const modelTest = (engine: ComparedEngine): void => {
  const { name, open, capabilities, positions } = engine
  const operations = Number(process.env.EVENT_STORE_MODEL_OPERATIONS ?? engine.operations ?? operationsDefault)
  const number = positions === 'counted' ? counted : ordered
  test(`${name} answers about ${operations} random operations like the model in memory`, async () => {
    const steps = fc.array(operationOn(engine), { maxLength: operationsPerRunMax, size: 'max' })
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        const store = await open()
        const [model, actual] = [createMemoryEventStore(capabilities), store].map(number) as [
          NumberedStore,
          NumberedStore,
        ]
        try {
          for (const step of run)
            expect([step.name, await resultOf(actual, step)]).toEqual([step.name, await resultOf(model, step)])
        } finally {
          await store.close()
        }
      }),
      { numRuns: Math.ceil((2 * operations) / operationsPerRunMax) },
    )
  }, 900_000)
}
