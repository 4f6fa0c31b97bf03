import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { collect } from './contract-world.ts'
import { createMemoryEventStore } from './memory.ts'
import type { Append, Batch, EventStore, NewEvent, Position } from './port.ts'
import { openPostgresEventStore } from './postgres.ts'
import { createSpecDatabase, type SpecDatabase } from './spec-database.ts'

const operations = Number(process.env.EVENT_STORE_MODEL_OPERATIONS ?? 4_000)
const operationsPerRunMax = 100

/** Something to do with a store; `answer` is what it said, in a form that is equal for equal stores. */
type Operation = {
  readonly name: string
  readonly input?: unknown
  readonly answer: (store: EventStore) => Promise<unknown>
}

const digits = 20
/** Positions differ by the store's id in front, and must not differ otherwise. */
const withoutStore = (store: EventStore, answer: unknown): unknown =>
  JSON.parse(
    JSON.stringify(answer, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)).replaceAll(
      store.start.slice(0, -digits),
      '',
    ),
  )

const positionIn = (store: EventStore, number: number): Position =>
  store.parsePosition(`${store.start.slice(0, -digits)}${String(number).padStart(digits, '0')}`)

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

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: append.map((one) => ({ name: 'append', input: one, answer: (store: EventStore) => store.append(one) })),
  },
  {
    weight: 2,
    arbitrary: fc.array(append, { maxLength: 3 }).map((many) => ({
      name: 'appendToMany',
      input: many,
      answer: (store: EventStore) => store.appendToMany(many),
    })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        stream,
        until: optional(small),
        direction,
        from: optional(small.map(BigInt)),
        limit: optional(small),
        untilTime: optional(time),
      })
      .map(
        ({ stream, until, ...range }): Operation => ({
          name: 'readStream',
          input: { stream, until, ...range },
          answer: (store: EventStore) => {
            const untilPosition = until === undefined ? undefined : positionIn(store, until)
            return collect(store.readStream(stream, defined({ ...range, untilPosition })))
          },
        }),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ ...filter, after: optional(small), direction, limit: optional(small) })
      .map(({ after, ...range }) => ({
        name: 'readAll',
        input: { after, ...range },
        answer: (store: EventStore) => {
          const from = after === undefined ? undefined : positionIn(store, after)
          return collect(store.readAll(defined({ ...range, after: from })))
        },
      })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ ...filter, after: small, batchSize: fc.integer({ min: 1, max: 5 }) })
      .map(({ after, ...options }) => ({
        name: 'subscribe',
        input: { after, ...options },
        answer: async (store: EventStore) => {
          const head = await store.head()
          const from = positionIn(store, after)
          const batches: Batch[] = []
          if (from >= head) return batches
          const signal = AbortSignal.timeout(30_000)
          for await (const batch of store.subscribe({ ...defined(options), after: from, signal })) {
            batches.push(batch)
            if (batch.position >= head) break
          }
          return batches
        },
      })),
  },
  { weight: 1, arbitrary: fc.constant({ name: 'head', answer: (store: EventStore) => store.head() }) },
)

const answerOf = async (store: EventStore, { answer }: Operation): Promise<unknown> => {
  try {
    return withoutStore(store, await answer(store))
  } catch (error) {
    const { code, details } = error as { code?: string; details?: unknown }
    if (code === undefined) throw error
    return { code, details }
  }
}

let own: SpecDatabase
beforeAll(async () => {
  own = await createSpecDatabase()
})
afterAll(() => own.drop())

test(`memory and Postgres answer about ${operations} random operations alike`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: operationsPerRunMax, size: 'max' }), async (steps) => {
      const door = own.openDoor()
      await door.query('spec', 'drop schema if exists log cascade')
      const [memory, postgres] = [createMemoryEventStore(), await openPostgresEventStore({ database: door })]
      try {
        for (const step of steps)
          expect([step.name, await answerOf(postgres, step)]).toEqual([step.name, await answerOf(memory, step)])
      } finally {
        await postgres.close()
        await door.close()
      }
    }),
    { numRuns: Math.ceil((2 * operations) / operationsPerRunMax) },
  )
}, 600_000)
