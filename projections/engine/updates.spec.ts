import { describe, expect, test } from '@jest/globals'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { at, createSpecLog } from './log.testing.ts'
import { writeRentals } from './market.testing.ts'
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

const endless = () => new AbortController().signal
const namesOf = (taken: readonly Update<{ name: string }>[]) => taken.map(({ type, row }) => [type, row.name])

describe('updates of a read model', () => {
  test('begin with the current row when a stream is given, and go on live', async () => {
    const log = createSpecLog()
    await log.write('provider', 'p', register('p'))
    const head = await log.write('provider', 'p', rename('Apex'))
    const live = updates({ store: log.store, projection: providers, stream: 'provider-p', signal: endless() })
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
    const resumed = updates({ store: log.store, projection: providers, after: first, signal: endless() })
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
    const all = () => updates({ store: log.store, projection: rentals, after: log.store.start, signal: endless() })
    const whole = await take(7, all())
    let after = log.store.start
    for (const expected of whole) {
      const [next] = await take(1, updates({ store: log.store, projection: rentals, after, signal: endless() }))
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
    const from = { store: log.store, projection: providers, after: log.store.start, signal: endless() }
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
    const live = updates({ store: log.store, projection: providers, signal: endless() })
    const next = live.next()
    // The head is read before anything else, so what is written from here on is new.
    await new Promise(setImmediate)
    await log.write('provider', 'p', rename('B'))
    expect((await next).value).toMatchObject({ type: 'ProviderRenamed', row: { name: 'B' } })
    await live.return()
  })

  test('fold evicted rows again: more keys than the cache holds', async () => {
    const log = createSpecLog()
    const wallets = Array.from({ length: 1_100 }, (_, index) => `p${index}`)
    for (const wallet of wallets) await log.write('provider', wallet, register(wallet))
    await log.write('provider', 'p0', rename('B'))
    const from = { store: log.store, projection: providers, after: log.store.start, signal: endless() }
    const [last] = (await take(1_101, updates(from))).slice(-1)
    expect(last).toMatchObject({ type: 'ProviderRenamed', row: { id: 'p0', name: 'B', registeredAt: at(0) } })
  })

  test('end when the signal aborts', async () => {
    const log = createSpecLog()
    const stop = new AbortController()
    const live = updates({ store: log.store, projection: providers, signal: stop.signal })
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
    const slow = updates({ store, projection: providers, after: log.store.start, signal: endless() })
    await take(1, slow)
    expect(read).toBeLessThanOrEqual(100)
    await slow.return()
  })
})
