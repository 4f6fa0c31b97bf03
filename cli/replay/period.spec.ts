import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { at } from '../../projections/engine/log.testing.ts'
import { type PeriodOptions, readPeriod } from './period.ts'

/** An event as the log has it, at the given second of the spec's clock. */
type Happened = { readonly stream: string; readonly second: number }

const storeOf = async (events: readonly Happened[]) => {
  const store = createMemoryEventStore({ id: 'period' })
  const positions: Position[] = []
  for (const { stream, second } of events) {
    const who = { commandId: 'c', correlationId: 'c', causationId: 'c', actor: 'spec', schemaVersion: 1 }
    const event = {
      id: crypto.randomUUID(),
      type: 'ListingWithdrawn',
      data: {},
      metadata: { ...who, time: at(second) },
    }
    const answer = await store.append({ stream: `listing-${stream}`, expected: 'any', events: [event] })
    if (answer.outcome === 'appended') positions.push(answer.position)
  }
  return { store, positions }
}

/** Returns the numbers of the events that are folded, and of those among them that count. */
const chosen = async (store: EventStore, options: PeriodOptions) => {
  const period = await readPeriod(options, store)
  const all = await Array.fromAsync(store.readAll())
  const folded: StoredEvent[] = []
  for (const event of all)
    if (event.position > period.after && event.position <= period.upTo && (await period.includes(event)))
      folded.push(event)
  const numbers = (events: readonly StoredEvent[]) => events.map((event) => all.indexOf(event))
  return { folded: numbers(folded), counted: numbers(folded.filter(period.counts)) }
}

/** The fourth comes late: a timer that fired when the platform was up again. */
const happened = [
  { stream: 'a', second: 0 },
  { stream: 'b', second: 10 },
  { stream: 'a', second: 20 },
  { stream: 'b', second: 12 },
  { stream: 'a', second: 30 },
]

describe('a period', () => {
  test('of nothing is refused', async () => {
    const { store, positions } = await storeOf(happened)
    const refused = { code: 'INPUT_INVALID', details: expect.objectContaining({ takes: '--from before --to' }) }
    for (const [from, to] of [
      [at(20), at(10)],
      [at(20), at(20)],
      [positions[2], positions[1]],
      [positions[2], positions[2]],
    ])
      await expect(readPeriod({ from, to }, store)).rejects.toMatchObject(refused)
  })

  test('is all of history without options', async () => {
    const { store } = await storeOf(happened)
    expect(await chosen(store, {})).toEqual({ folded: [0, 1, 2, 3, 4], counted: [0, 1, 2, 3, 4] })
  })

  test('of moments goes by the time of each event, so that a late one falls into its own period', async () => {
    const { store } = await storeOf(happened)
    expect(await chosen(store, { from: at(10), to: at(20) })).toEqual({ folded: [0, 1, 3], counted: [1, 3] })
    expect(await chosen(store, { from: at(20) })).toEqual({ folded: [0, 1, 2, 3, 4], counted: [2, 4] })
  })

  test('of positions goes by the order of the log', async () => {
    const { store, positions } = await storeOf(happened)
    const options = { from: `${positions[0]}`, to: `${positions[3]}` }
    expect(await chosen(store, options)).toEqual({ folded: [0, 1, 2, 3], counted: [1, 2, 3] })
  })

  test('joins the next one without a gap and without an overlap', async () => {
    const { store, positions } = await storeOf(happened)
    for (const cut of [at(12), `${positions[2]}`]) {
      const [before, after] = [await chosen(store, { to: cut }), await chosen(store, { from: cut })]
      expect([...before.counted, ...after.counted].toSorted()).toEqual([0, 1, 2, 3, 4])
    }
  })

  test('ends as of a moment where each stream ends for asOf in the API', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ stream: fc.constantFrom('a', 'b', 'c'), second: fc.nat(9) }), { maxLength: 25 }),
        fc.nat(9),
        async (events, second) => {
          const { store } = await storeOf(events)
          const all = await Array.fromAsync(store.readAll())
          const known: number[] = []
          for (const stream of ['a', 'b', 'c'])
            for await (const { id } of store.readStream(`listing-${stream}`, { untilTime: at(second) }))
              known.push(all.findIndex((event) => event.id === id))
          const { folded } = await chosen(store, { asOf: at(second) })
          expect(folded).toEqual(known.toSorted((one, other) => one - other))
        },
      ),
    ))

  test('as of a position ends with it, and reads no later event', async () => {
    const { store, positions } = await storeOf(happened)
    expect(await chosen(store, { asOf: `${positions[1]}` })).toEqual({ folded: [0, 1], counted: [0, 1] })
  })

  test('takes --to or --as-of, not both', async () => {
    const { store } = await storeOf([])
    await expect(readPeriod({ to: at(1), asOf: at(1) }, store)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })
})
