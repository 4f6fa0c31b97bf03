import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { ProviderRow } from '../providers.table.ts'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { at, createSpecLog, type SpecLog } from './log.testing.ts'
import { writeRentals } from './market.testing.ts'
import type { Projection } from './projection.ts'
import { createStreamFolds } from './stream-folds.ts'
import { type Update, updates } from './updates.ts'

const register = (wallet: string) =>
  ({ type: 'ProviderRegistered', wallet, name: 'Acme', registeredAt: at(0) }) as const
const rename = (name: string) => ({ type: 'ProviderRenamed', name }) as const

/** Resolves to the first `count` updates, then stops. */
const take = async <Row>(count: number, from: AsyncGenerator<Update<Row>>): Promise<Update<Row>[]> => {
  const taken: Update<Row>[] = []
  while (taken.length < count) {
    const next = await from.next()
    if (next.done) break
    taken.push(next.value)
  }
  return taken
}

const readingOf = (store: EventStore) => ({
  store,
  folds: createStreamFolds({ store }),
  parkedAsOf: async () => new Map(), // the database refuses nothing
})
const strict: Projection<ProviderRow> = {
  ...providers,
  fold: (row, event, metadata, key) => {
    if (row && event.type === 'ProviderRegistered') throw new Error('registered twice')
    return providers.fold(row, event, metadata, key)
  },
}
const appendUnreadable = async (log: SpecLog, id: string, number: number): Promise<Position> => {
  const [first] = await log.stream('provider', id)
  if (!first) throw new Error('nothing was written')
  const event = { ...first, id: log.eventId(9_000 + number), type: 'ProviderRenamed', data: { name: 7 } }
  const answer = await log.store.append({ stream: `provider-${id}`, expected: 'any', events: [event] })
  if (answer.outcome !== 'appended') throw new Error('it was not appended')
  return answer.position
}
const endless = () => new AbortController().signal
const namesOf = (taken: readonly Update<{ name: string }>[]) => taken.map(({ type, row }) => [type, row.name])

describe('updates of a read model', () => {
  test('begin with the current row when a stream is given, and go on live', async () => {
    const log = createSpecLog()
    await log.write('provider', 'p', register('p'))
    const head = await log.write('provider', 'p', rename('Apex'))
    const live = updates({ ...readingOf(log.store), projection: providers, stream: 'provider-p', signal: endless() })
    const [snapshot] = await take(1, live)
    expect(snapshot).toEqual({ position: head, type: 'Snapshot', row: expect.objectContaining({ name: 'Apex' }) })
    await log.write('provider', 'p', rename('Zenith'))
    expect(namesOf(await take(1, live))).toEqual([['ProviderRenamed', 'Zenith']])
    await live.return()
  })

  test('resume after a position, each with the row as of its event', async () => {
    const log = createSpecLog()
    const first = await log.write('provider', 'p', register('p'))
    for (const name of ['B', 'C', 'D']) await log.write('provider', 'p', rename(name))
    const resumed = updates({ ...readingOf(log.store), projection: providers, after: first, signal: endless() })
    expect(namesOf(await take(3, resumed))).toEqual([
      ['ProviderRenamed', 'B'],
      ['ProviderRenamed', 'C'],
      ['ProviderRenamed', 'D'],
    ])
    await resumed.return()
  })

  test('resumed after each update, nothing is lost and nothing comes twice', async () => {
    const log = createSpecLog()
    await writeRentals(
      log,
      [
        { number: 1, end: 'settled' },
        { number: 2, end: 'rejected' },
      ],
      [3, 1, 4, 1, 5, 9, 2, 6],
    )
    const all = () =>
      updates({ ...readingOf(log.store), projection: rentals, after: log.store.start, signal: endless() })
    const whole = await take(7, all())
    let after = log.store.start
    for (const expected of whole) {
      const [next] = await take(1, updates({ ...readingOf(log.store), projection: rentals, after, signal: endless() }))
      expect(next).toEqual(expected)
      after = expected.position
    }
    expect(whole.map(({ row }) => row.id).sort()).toEqual(['r1', 'r1', 'r1', 'r1', 'r1', 'r2', 'r2'])
  })

  test('leave out other streams, also one whose name only begins alike, and rows that do not match', async () => {
    const log = createSpecLog()
    for (const wallet of ['p', 'p1', 'q']) await log.write('provider', wallet, register(wallet))
    for (const name of ['B', 'C']) {
      await log.write('provider', 'p1', rename(`${name}1`))
      await log.write('provider', 'p', rename(name))
    }
    const from = { ...readingOf(log.store), projection: providers, after: log.store.start, signal: endless() }
    expect(namesOf(await take(3, updates({ ...from, stream: 'provider-p' })))).toEqual([
      ['ProviderRegistered', 'Acme'],
      ['ProviderRenamed', 'B'],
      ['ProviderRenamed', 'C'],
    ])
    const matching = updates({ ...from, matches: ({ name }) => name.startsWith('B') })
    expect(namesOf(await take(2, matching))).toEqual([
      ['ProviderRenamed', 'B1'],
      ['ProviderRenamed', 'B'],
    ])
  })

  test('without a stream and a position are live alone', async () => {
    const log = createSpecLog()
    await log.write('provider', 'p', register('p'))
    const live = updates({ ...readingOf(log.store), projection: providers, signal: endless() })
    const next = live.next()
    // The head is read before anything else, so what is written from here on is new.
    await new Promise(setImmediate)
    await log.write('provider', 'p', rename('B'))
    expect((await next).value).toMatchObject({ type: 'ProviderRenamed', row: { name: 'B' } })
    await live.return()
  })

  test('fold each event once, however many streams there are', async () => {
    const log = createSpecLog()
    const wallets = Array.from({ length: 1_100 }, (_, index) => `p${index}`)
    for (const wallet of wallets) await log.write('provider', wallet, register(wallet))
    await log.write('provider', 'p0', rename('B'))
    const from = { ...readingOf(log.store), projection: providers, after: log.store.start, signal: endless() }
    const [last] = (await take(1_101, updates(from))).slice(-1)
    expect(last).toMatchObject({ type: 'ProviderRenamed', row: { id: 'p0', name: 'B', registeredAt: at(0) } })
  })

  test('pass events that cannot be read or folded: their streams are parked, and all others go on', async () => {
    const kinds = ['unreadable', 'unfoldable', 'fine'] as const
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ stream: fc.nat(3), kind: fc.constantFrom(...kinds, 'fine') }), { maxLength: 30 }),
        fc.nat(30),
        async (events, resumeAt) => {
          const log = createSpecLog()
          for (const id of ['p0', 'p1', 'p2', 'p3', 'last']) await log.write('provider', id, register(id))
          const begun = await log.store.head()
          const parked = new Set<number>()
          const positions: Position[] = []
          const expected: Position[] = []
          for (const [number, { stream, kind }] of events.entries()) {
            // No provider registers twice: no fold takes that.
            const event = kind === 'unfoldable' ? register('again') : rename(`No ${number}`)
            const position =
              kind === 'unreadable'
                ? await appendUnreadable(log, `p${stream}`, number)
                : await log.write('provider', `p${stream}`, event)
            positions.push(position)
            if (kind !== 'fine') parked.add(stream)
            if (!parked.has(stream)) expected.push(position)
          }
          const end = await log.write('provider', 'last', rename('End'))
          for (const after of [begun, positions[resumeAt] ?? begun]) {
            const received: Position[] = []
            for await (const { position } of updates({
              ...readingOf(log.store),
              projection: strict,
              after,
              signal: endless(),
            })) {
              if (position === end) break
              received.push(position)
            }
            expect(received).toEqual(expected.filter((position) => position > after))
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  test('end when the signal aborts', async () => {
    const log = createSpecLog()
    const stop = new AbortController()
    const live = updates({ ...readingOf(log.store), projection: providers, signal: stop.signal })
    const next = live.next()
    stop.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  test('are read at the pace of the caller', async () => {
    const log = createSpecLog()
    for (let number = 0; number < 500; number++) await log.write('provider', `p${number}`, register(`p${number}`))
    let read = 0
    const store = {
      ...log.store,
      subscribe: async function* (options: Parameters<typeof log.store.subscribe>[0]) {
        for await (const batch of log.store.subscribe(options)) {
          read += batch.events.length
          yield batch
        }
      },
    }
    const slow = updates({ ...readingOf(store), projection: providers, after: log.store.start, signal: endless() })
    await take(1, slow)
    expect(read).toBeLessThanOrEqual(100)
    await slow.return()
  })
})
