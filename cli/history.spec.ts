import { describe, expect, test } from '@jest/globals'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import type { Position } from '../infra/event-store/port.ts'
import { createSpecLog } from '../projections/engine/log.testing.ts'
import { parseBoundary, readHistory } from './history.ts'

const changed = { type: 'PriceChanged', pricePerGpuHour: { amount: 1n, asset: 'USDC/6' } } as const
const withdrawn = { type: 'ListingWithdrawn' } as const

const logOf = async (events: number) => {
  const log = createSpecLog(createMemoryEventStore({ id: 'history' }))
  const positions: Position[] = []
  for (let index = 0; index < events; index++)
    positions.push(await log.write('listing', 'a', index % 2 === 0 ? changed : withdrawn))
  return { store: log.store, positions }
}
const { signal } = new AbortController()

describe('a boundary in history', () => {
  const { store } = createSpecLog()
  test.each([
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['2026-11-22T10:00Z', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00:00.5+02:00', '2026-11-22T08:00:00.500Z'],
  ])('%s is a moment', (text, time) => expect(parseBoundary('to', text, store)).toEqual({ time }))
  test('is a position of the store otherwise', async () =>
    expect(parseBoundary('to', await store.head(), store)).toEqual({ position: await store.head() }))
  test.each([
    '2026-11-22T10:00',
    '2026-02-30',
    '2026-13-01',
    '2026-11-22 10:00',
    '2026-11-22T25:00Z',
    '',
    'yesterday',
    '28.11.2026',
    '11/28/2026',
    '20261128',
    '1795824000',
  ])('%p is none', (text) =>
    expect(() => parseBoundary('to', text, store)).toThrow(
      expect.objectContaining({ code: 'INPUT_INVALID', details: expect.objectContaining({ to: text }) }),
    ),
  )
  test.each(['memory-other-00000000000000000001', 'another-00000000000000000001-00000000000000000001'])(
    '%s is of another store',
    (text) =>
      expect(() => parseBoundary('to', text, store)).toThrow(expect.objectContaining({ code: 'POSITION_FOREIGN' })),
  )
})

describe('history', () => {
  test('comes in batches with progress', async () => {
    const { store, positions } = await logOf(10)
    const batches = await Array.fromAsync(
      readHistory({ store, after: positions[1] as Position, upTo: positions[8] as Position, eventsMax: 3, signal }),
    )
    expect(batches.map(({ events }) => events.map(({ position }) => positions.indexOf(position)))).toEqual([
      [2, 3, 4],
      [5, 6, 7],
      [8],
    ])
    expect(batches.map(({ done }) => Math.round(done * 100))).toEqual([43, 86, 100])
  })
  test('may be limited to some types', async () => {
    const { store } = await logOf(7)
    const [batch] = await Array.fromAsync(
      readHistory({ store, after: store.start, upTo: await store.head(), types: ['ListingWithdrawn'], signal }),
    )
    expect(batch?.events.map(({ type }) => type)).toEqual(Array(3).fill('ListingWithdrawn'))
    expect(batch?.done).toBe(1)
  })
  test('ends at once for an empty log', async () => {
    const { store } = await logOf(0)
    expect(await Array.fromAsync(readHistory({ store, after: store.start, upTo: store.start, signal }))).toEqual([
      { events: [], done: 1 },
    ])
  })
  test('throws the reason when the signal aborts', async () => {
    const { store } = await logOf(4)
    const reading = readHistory({
      store,
      after: store.start,
      upTo: await store.head(),
      eventsMax: 2,
      signal: AbortSignal.abort(new Error('enough')),
    })
    await expect(Array.fromAsync(reading)).rejects.toThrow('enough')
  })
})
