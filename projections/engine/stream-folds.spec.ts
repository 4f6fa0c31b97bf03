import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { ProviderRow } from '../providers.table.ts'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { at, createSpecLog, foldStream, register } from './log.testing.ts'
import type { Projection } from './projection.ts'
import { createStreamFolds } from './stream-folds.ts'

const rename = (name: string) => ({ type: 'ProviderRenamed', name }) as const
const picky: Projection<ProviderRow> = {
  ...providers,
  fold: (row, event, metadata, key) => {
    if (event.type === 'ProviderRenamed' && event.name === 'poison') throw new Error('no name')
    return providers.fold(row, event, metadata, key)
  },
}

/** Resolves to a log with one stream of so many events, which counts the events that are read of it. */
const createCounted = async (events: number) => {
  const log = createSpecLog()
  await log.write('provider', 'p', register('p'))
  for (let number = 1; number < events; number++) await log.write('provider', 'p', rename(`No ${number}`))
  let read = 0
  const store: Pick<EventStore, 'readStream'> = {
    readStream: async function* (stream, range) {
      for await (const event of log.store.readStream(stream, range)) {
        read += 1
        yield event
      }
    },
  }
  const stored = await log.stream('provider', 'p')
  const take = () => {
    const before = read
    read = 0
    return before
  }
  return { log, store, stored, take }
}
const nameIn = (rows: ReadonlyMap<string, ProviderRow> | undefined) => rows?.get('p')?.name
const positionAt = (stored: readonly StoredEvent[], revision: number) => stored[revision]?.position as Position

describe('the fold of a long stream', () => {
  test('is read whole once; the next one, as of any moment, starts near', async () => {
    const { store, stored, take } = await createCounted(5_000)
    const folds = createStreamFolds({ store })
    const past = { projection: providers, stream: 'provider-p' }
    expect(nameIn((await folds.fold(past)).rows)).toBe('No 4999')
    expect(take()).toBe(5_000)
    for (const revision of [4_999, 4_000, 17, 2_345, 128]) {
      const byPosition = await folds.fold({ ...past, untilPosition: positionAt(stored, revision) })
      expect([nameIn(byPosition.rows), take() <= 129]).toEqual([`No ${revision}`, true])
      const byTime = await folds.fold({ ...past, untilTime: at(revision) })
      expect([nameIn(byTime.rows), take() <= 129]).toEqual([`No ${revision}`, true])
    }
  })

  test('is read once by callers at the same time', async () => {
    const { store, take } = await createCounted(3_000)
    const folds = createStreamFolds({ store })
    await Promise.all(Array.from({ length: 8 }, () => folds.fold({ projection: providers, stream: 'provider-p' })))
    expect(take()).toBe(3_000)
  })

  test('stays within its bytes: what was evicted is read again', async () => {
    const { store, take } = await createCounted(1_000)
    const folds = createStreamFolds({ store, bytesMax: 1 })
    await folds.fold({ projection: providers, stream: 'provider-p' })
    await folds.fold({ projection: rentals, stream: 'provider-p' })
    take()
    expect(nameIn((await folds.fold({ projection: providers, stream: 'provider-p' })).rows)).toBe('No 999')
    expect(take()).toBeGreaterThan(0)
  })

  test('costs a subscription one event at a time, however many follow', async () => {
    const { store, stored, take } = await createCounted(2_000)
    const folds = createStreamFolds({ store })
    await folds.fold({ projection: providers, stream: 'provider-p', untilPosition: positionAt(stored, 1_499) })
    take()
    for (const event of stored.slice(1_500))
      for (let subscriber = 0; subscriber < 3; subscriber++)
        expect(nameIn(await folds.rowsAfter(providers, event))).toBe(`No ${event.revision}`)
    expect(take()).toBe(0)
  })
})

test('any folds in any order, with clocks that disagree and poison, are those of the events until then', async () => {
  const name = fc.constantFrom('A', 'B', 'C', 'poison')
  const question = fc.record({ kind: fc.constantFrom('position', 'time', 'event', 'now'), of: fc.nat(400) })
  const history = fc.record({
    names: fc.array(name, { maxLength: 400, size: 'max' }),
    clocks: fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 1, maxLength: 9 }),
    questions: fc.array(question, { minLength: 1, maxLength: 30 }),
  })
  await fc.assert(
    fc.asyncProperty(history, async ({ names, clocks, questions }) => {
      const log = createSpecLog()
      await log.write('provider', 'p', register('p'))
      for (const [index, each] of names.entries()) {
        const calm = each === 'poison' && index % 7 !== 0 ? 'D' : each
        await log.write('provider', 'p', rename(calm))
      }
      const shifted = (await log.stream('provider', 'p')).map((event, index) => {
        const time = new Date(Date.parse(event.metadata.time) + 1_000 * (clocks[index % clocks.length] ?? 0))
        return { ...event, metadata: { ...event.metadata, time: time.toISOString() } }
      })
      const store: Pick<EventStore, 'readStream'> = {
        readStream: async function* (_, { from = 0n, untilPosition } = {}) {
          for (const event of shifted)
            if (event.revision >= from && (untilPosition === undefined || event.position <= untilPosition)) yield event
        },
      }
      const folds = createStreamFolds({ store })
      const poisonAt = shifted.findIndex(({ data }) => (data as { name?: string }).name === 'poison')
      const expected = (count: number) => {
        const isPoisoned = poisonAt !== -1 && poisonAt < count
        const rows = foldStream(picky, shifted.slice(0, isPoisoned ? poisonAt : count))
        return { rows: Object.fromEntries(rows), isPoisoned }
      }
      const past = { projection: picky, stream: 'provider-p' }
      for (const { kind, of } of questions) {
        const revision = of % shifted.length
        const event = shifted[revision] as StoredEvent
        if (kind === 'event') {
          const rows = await folds.rowsAfter(picky, event)
          const wanted = expected(revision + 1)
          expect(rows && Object.fromEntries(rows)).toEqual(wanted.isPoisoned ? undefined : wanted.rows)
          continue
        }
        const time = event.metadata.time
        const later = shifted.findIndex(({ metadata }) => metadata.time > time)
        const count =
          kind === 'now' ? shifted.length : kind === 'position' ? revision + 1 : later === -1 ? shifted.length : later
        const folded = await folds.fold({
          ...past,
          ...(kind === 'position' && { untilPosition: event.position }),
          ...(kind === 'time' && { untilTime: time }),
        })
        const found = { rows: Object.fromEntries(folded.rows), isPoisoned: folded.poison !== undefined }
        expect(found).toEqual(expected(count))
      }
    }),
    { numRuns: 60 },
  )
})
