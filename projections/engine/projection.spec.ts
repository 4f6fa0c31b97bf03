import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { StoredEvent } from '../../infra/event-store/port.ts'
import { allProjections } from '../all.ts'
import { jobs } from '../jobs.ts'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { at, createSpecLog, foldStream } from './log.testing.ts'
import { writeRentals } from './market.testing.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import { createStreamFolds } from './stream-folds.ts'
import type { AnyRow } from './table.ts'

const scenario = fc.record({
  number: fc.nat(30),
  end: fc.constantFrom('rejected' as const, 'active' as const, 'settled' as const),
})
const randomLog = fc.record({
  scenarios: fc.uniqueArray(scenario, { selector: ({ number }) => number, minLength: 1, maxLength: 6 }),
  picks: fc.array(fc.nat(100), { maxLength: 120 }),
})

/** Encodes and decodes rows as the runner does between two batches. */
const throughTable = ({ table }: Projection, rows: Map<string, AnyRow>): Map<string, AnyRow> => {
  const stored = JSON.parse(table.encode([...rows.values()])) as Record<string, unknown>[]
  return new Map(stored.map((columns) => table.decode(columns)).map((row) => [row.id, row]))
}

const inBatches = (projection: Projection, events: readonly StoredEvent[], sizes: readonly number[]) => {
  let rows = new Map<string, AnyRow>()
  for (let start = 0, batch = 0; start < events.length; batch++) {
    const size = sizes[batch % sizes.length] ?? 1
    for (const stored of events.slice(start, start + size)) {
      if (!projection.types.includes(stored.type)) continue
      const { event, metadata } = decodeStored(stored)
      foldInto(projection, rows, event, metadata)
    }
    rows = throughTable(projection, rows)
    start += size
  }
  return rows
}

describe('every read model', () => {
  test('is the same folded in one go and in batches through its table', () =>
    fc.assert(
      fc.asyncProperty(
        randomLog,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async ({ scenarios, picks }, sizes) => {
          const log = createSpecLog()
          await writeRentals(log, scenarios, picks)
          const events = await Array.fromAsync(log.store.readAll())
          for (const projection of allProjections)
            expect(inBatches(projection, events, sizes)).toEqual(foldStream(projection, events))
        },
      ),
      { numRuns: 50 },
    ))

  test('gives, as of any position, the row that it had then', () =>
    fc.assert(
      fc.asyncProperty(randomLog, fc.nat(), async ({ scenarios, picks }, pick) => {
        const { store, ...log } = createSpecLog()
        await writeRentals({ store, ...log }, scenarios, picks)
        const events = await Array.fromAsync(store.readAll())
        const until = events[pick % events.length]
        if (!until) return
        const folds = createStreamFolds({ store })
        for (const projection of allProjections) {
          const then = foldStream(projection, events.slice(0, events.indexOf(until) + 1))
          const options = { projection, stream: until.stream, untilPosition: until.position }
          for (const [key, row] of (await folds.fold(options)).rows) expect(row).toEqual(then.get(key))
        }
      }),
      { numRuns: 50 },
    ))
})

test('a row as of a time is the one that the last event before has left', async () => {
  const log = createSpecLog()
  await log.write('provider', '0xp', { type: 'ProviderRegistered', wallet: '0xp', name: 'Acme', registeredAt: at(0) })
  await log.write('provider', '0xp', { type: 'ProviderRenamed', name: 'Apex' })
  const nameAt = async (untilTime: string) =>
    (await createStreamFolds(log).fold({ projection: providers, stream: 'provider-0xp', untilTime })).rows.get('0xp')
      ?.name
  expect(await nameAt(at(0))).toBe('Acme')
  expect(await nameAt(at(1))).toBe('Apex')
})

test('a moment has one form, however the event wrote it', async () => {
  const log = createSpecLog()
  await log.write('provider', 'p', {
    type: 'ProviderRegistered',
    wallet: 'p',
    name: 'Acme',
    registeredAt: '2026-01-01T00:00:00Z',
  })
  const rows = foldStream(providers, await log.stream('provider', 'p'))
  expect(rows.get('p')?.registeredAt).toBe('2026-01-01T00:00:00.000Z')
})

test('an event that cannot be read names its stream and revision', async () => {
  const log = createSpecLog()
  await log.write('provider', 'p', { type: 'ProviderRenamed', name: 'Apex' })
  const [stored] = await log.stream('provider', 'p')
  if (!stored) throw new Error('nothing was written')
  expect(() => decodeStored({ ...stored, data: { name: 7 } })).toThrow(
    expect.objectContaining({
      code: 'EVENT_UNREADABLE',
      details: expect.objectContaining({ stream: 'provider-p', revision: '0', type: 'ProviderRenamed' }),
    }),
  )
})

test('events of other aggregates are passed over', async () => {
  const log = createSpecLog()
  await log.write('provider', 'p', { type: 'ProviderRenamed', name: 'Apex' })
  expect(foldStream(rentals, await log.stream('provider', 'p')).size).toBe(0)
  expect(jobs.types).not.toContain('ProviderRenamed')
})
