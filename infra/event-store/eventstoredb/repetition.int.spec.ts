// What an append answers is not read back: so here several processes append the same events at the same time, with
// answers lost and connections cut, and the log then shows whether each answer was true.
import { EventStoreDBClient } from '@eventstore/db-client'
import { afterEach, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { appendUntilAnswered, collect, newEvent, newEvents, newStream, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import type { Append, AppendOutcome, EventStore, ExpectedRevision } from '../port.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** One of a few appends to one stream, from one of three processes. */
const attempt = fc.record({
  which: fc.nat(4),
  process: fc.nat(2),
  expected: fc.constantFrom<ExpectedRevision>('no stream', 'any', 'stream exists', 0n, 1n),
  fault: fc.option(fc.constantFrom('busy' as const, 'cut before' as const, 'cut after' as const), {
    freq: 20,
    nil: undefined,
  }),
})

test('of all attempts at the same events, from several processes at once, one is the first and the others are told so', async () => {
  const server = await startEventStoreDbServer()
  stops.push(server.stop)
  await fc.assert(
    fc.asyncProperty(fc.array(attempt, { minLength: 2, maxLength: 14 }), async (attempts) => {
      const stores: EventStore[] = []
      for (let n = 0; n < 3; n += 1) stores.push(await openEventStoreDb({ url: server.url }))
      try {
        const stream = newStream()
        const contents = Array.from({ length: 5 }, (_, n) => newEvents(1 + (n % 3)))
        const answers = await Promise.all(
          attempts.map(async ({ which, process, expected, fault }) => {
            const append: Append = to(stream, expected, ...(contents[which] ?? []))
            if (fault) server.failNextAppend(fault)
            const answer = await appendUntilAnswered(stores[process] as EventStore, append)
            return { which, answer }
          }),
        )
        const stored = await collect((stores[0] as EventStore).readStream(stream))
        expect(new Set(stored.map(({ id }) => id)).size).toBe(stored.length)
        for (const [which, events] of contents.entries()) {
          const ofThese = answers.flatMap((one) => (one.which === which ? [one.answer] : []))
          const last = stored.find(({ id }) => id === events.at(-1)?.id)
          const appended = ofThese.filter(({ outcome }) => outcome === 'appended')
          if (!last) expect(appended).toEqual([])
          else {
            const { revision, position } = last
            expect(appended.filter((one) => 'repeated' in one && !one.repeated)).toHaveLength(1)
            for (const one of appended) expect(one).toMatchObject({ revision, position })
          }
          expect(ofThese.every(({ outcome }) => outcome !== 'ids known')).toBe(true)
        }
      } finally {
        for (const store of stores) await store.close()
      }
    }),
    { numRuns: 15 },
  )
}, 120_000)

test('events from before ids belonged to attempts keep theirs, and their repetition is one', async () => {
  const server = await startEventStoreDbServer()
  stops.push(server.stop)
  const other = EventStoreDBClient.connectionString(server.url)
  stops.push(() => other.dispose())
  const [before, after] = newEvents(2)
  if (!before || !after) throw new Error('two events')
  const appendId = '0e4b1a6c-6a39-4b1c-8b3c-1c59f5a0c1de'
  const metadata = { ...before.metadata, appendId }
  await other.appendToStream('s', { ...before, metadata, contentType: 'application/json' } as never)
  const store = await openEventStoreDb({ url: server.url })
  stops.push(store.close)
  const isFirst = (outcome: AppendOutcome) => outcome.outcome === 'appended' && !outcome.repeated
  expect(isFirst(await store.append(to('s', 'no stream', before)))).toBe(false)
  expect(await store.append(to('s', 'no stream', newEvent()))).toMatchObject({ outcome: 'conflict', actual: 0n })
  expect(isFirst(await store.append(to('s', 0n, after)))).toBe(true)
  const stored = await collect(store.readStream('s'))
  expect(stored.map(({ id, metadata }) => [id, metadata])).toEqual([before, after].map((one) => [one.id, one.metadata]))
  expect(server.log.streamOf('s').map(({ id }) => id === before.id || id === after.id)).toEqual([true, false])
})
