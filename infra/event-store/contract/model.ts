// Random appends, reads and subscriptions, asked of an engine and of a model of it in memory.
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createMemoryEventStore } from '../memory.ts'
import type { Append, Batch, Capabilities, EventStore, NewEvent, Position } from '../port.ts'
import { collect } from './world.ts'

/** An engine as it is compared with the model. */
type Subject = {
  readonly name: string
  /** A new, empty store; the suite closes it. */
  readonly open: () => Promise<EventStore>
  readonly capabilities: Capabilities
  /** `counted`: its positions count events, as those of the model do, and its batches are cut as the model cuts them. `other`: they
   *  are compared by their order alone, and batches by what is in them. */
  readonly positions: 'counted' | 'other'
  /** How many steps in the normal run, where so many as elsewhere would take long. */
  readonly operations?: number
}

const operationsDefault = 10_000
const operationsPerRunMax = 100
const digits = 20

/** A store, and its positions by number, from 1; 0 is its start. */
type Numbered = {
  readonly store: EventStore
  readonly positionAt: (number: number) => Promise<Position>
  /** The same with numbers for positions, so that equal answers of two stores are equal. */
  readonly withNumbers: (answer: unknown) => Promise<unknown>
}

/** Something to do with a store; `answer` is what it said. */
type Operation = {
  readonly name: string
  readonly input?: unknown
  readonly answer: (numbered: Numbered) => Promise<unknown>
}

const asText = (answer: unknown) =>
  JSON.stringify(answer, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)) ?? 'null'

/** Positions differ by the store's id in front, and must not differ otherwise. */
const counted = (store: EventStore): Numbered => {
  const prefix = store.start.slice(0, -digits)
  return {
    store,
    positionAt: async (number) => store.parsePosition(`${prefix}${String(number).padStart(digits, '0')}`),
    withNumbers: async (answer) => JSON.parse(asText(answer).replaceAll(prefix, '')),
  }
}

/** Positions differ, and must not differ in their order. One beyond the last is taken for the last. */
const ordered = (store: EventStore): Numbered => {
  const known: Position[] = []
  const numberOf = new Map<string, number>([[store.start, 0]])
  const lookOn = async () => {
    const after = known.at(-1)
    for await (const { position } of store.readAll(after === undefined ? {} : { after }))
      numberOf.set(position, known.push(position))
  }
  const shape = new RegExp(`${store.start.replace(/0{20}/g, '\\d{20}')}`, 'g')
  return {
    store,
    positionAt: async (number) => {
      await lookOn()
      return known[Math.min(number, known.length) - 1] ?? store.start
    },
    withNumbers: async (answer) => {
      const text = asText(answer)
      if ([...text.matchAll(shape)].some(([position]) => !numberOf.has(position))) await lookOn()
      return JSON.parse(text.replaceAll(shape, (position) => `#${numberOf.get(position)}`))
    },
  }
}

const small = fc.integer({ min: 0, max: 12 })
const optional = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined })
const stream = fc.constantFrom('a', 'a-1', 'a-2', 'b%', 'b_', 'ä', '\u{1f600}')
const type = fc.constantFrom('Red', 'Green', 'Blue')
const time = small.map((n) => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString())

/** Few ids, so that many are known already, mostly with the same content. */
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
  answer: ({ store }) => store.append(one),
}))

const appendingToMany: fc.Arbitrary<Operation> = fc.array(append, { maxLength: 3 }).map((many) => ({
  name: 'appendToMany',
  input: many,
  answer: ({ store }) => store.appendToMany(many),
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
    answer: async ({ store, positionAt }) => {
      const untilPosition = until === undefined ? undefined : await positionAt(until)
      return collect(store.readStream(stream, defined({ ...range, untilPosition })))
    },
  }))

const readingAll: fc.Arbitrary<Operation> = fc
  .record({ ...filter, after: optional(small), direction, limit: optional(small) })
  .map(({ after, ...range }) => ({
    name: 'readAll',
    input: { after, ...range },
    answer: async ({ store, positionAt }) => {
      const from = after === undefined ? undefined : await positionAt(after)
      return collect(store.readAll(defined({ ...range, after: from })))
    },
  }))

const subscribing = (exactly: boolean): fc.Arbitrary<Operation> =>
  fc.record({ ...filter, after: small, batchSize: fc.integer({ min: 1, max: 5 }) }).map(({ after, ...options }) => ({
    name: 'subscribe',
    input: { after, ...options },
    answer: async ({ store, positionAt }) => {
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

const head: fc.Arbitrary<Operation> = fc.constant({ name: 'head', answer: ({ store }) => store.head() })

const operationOn = ({ capabilities, positions }: Subject): fc.Arbitrary<Operation> =>
  fc.oneof(
    { weight: 6, arbitrary: appending },
    { weight: capabilities.appendToMany ? 2 : 0, arbitrary: appendingToMany },
    { weight: 2, arbitrary: readingStream },
    { weight: 2, arbitrary: readingAll },
    { weight: 1, arbitrary: subscribing(positions === 'counted') },
    { weight: 1, arbitrary: head },
  )

const answerOf = async (numbered: Numbered, { answer }: Operation): Promise<unknown> => {
  try {
    return await numbered.withNumbers(await answer(numbered))
  } catch (error) {
    const { code, details } = error as { code?: string; details?: unknown }
    if (code === undefined) throw error
    return { code, details }
  }
}

/** A test that asks both the same, step by step; the number of steps is EVENT_STORE_MODEL_OPERATIONS. */
export const modelTest = (subject: Subject): void => {
  const { name, open, capabilities, positions } = subject
  const operations = Number(process.env.EVENT_STORE_MODEL_OPERATIONS ?? subject.operations ?? operationsDefault)
  const number = positions === 'counted' ? counted : ordered
  test(`${name} answers about ${operations} random operations as the model in memory does`, async () => {
    const steps = fc.array(operationOn(subject), { maxLength: operationsPerRunMax, size: 'max' })
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        const store = await open()
        const [model, asked] = [createMemoryEventStore(capabilities), store].map(number) as [Numbered, Numbered]
        try {
          for (const step of run)
            expect([step.name, await answerOf(asked, step)]).toEqual([step.name, await answerOf(model, step)])
        } finally {
          await store.close()
        }
      }),
      { numRuns: Math.ceil((2 * operations) / operationsPerRunMax) },
    )
  }, 900_000)
}
