import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { usdc } from '../../domain/money.testing.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { eventually } from '../../testing/eventually.ts'
import { accounts } from '../accounts.ts'
import { allProjections } from '../all.ts'
import { findListings, listings } from '../listings.ts'
import type { ProviderRow } from '../providers.table.ts'
import { findProvider, providers } from '../providers.ts'
import { at, createSpecLog, register, type SpecLog } from './log.testing.ts'
import { writeMarket } from './market.testing.ts'
import type { Projection } from './projection.ts'
import { followProjections, type Projections } from './start.ts'
import type { ProjectionStatus } from './status.ts'
import { compareWithRebuild } from './verify.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

let world: ReadWorld
beforeEach(async () => {
  world = await createReadWorld()
})
afterEach(() => world.close())

const rename = (name: string) => ({ type: 'ProviderRenamed', name }) as const

const statusOf = async (projections: Projections, name = 'providers'): Promise<ProjectionStatus> => {
  const found = (await projections.status()).projections.find((status) => status.name === name)
  if (!found) throw new Error(`${name} has no status`)
  return found
}
const nameOf = async (id: string) => (await findProvider(world.read, id))?.name

/** Writes a provider that is renamed before its registration: no fold accepts that. */
const writePoison = async (log: SpecLog, id = 'ghost') => log.write('provider', id, rename('Nobody'))
/** Returns a version that can fold it. */
const lenient = (version = 1): Projection<ProviderRow> => ({
  ...providers,
  version,
  fold: (row, event, metadata, key) =>
    row || event.type !== 'ProviderRenamed'
      ? providers.fold(row, event, metadata, key)
      : { id: key, name: event.name, registeredAt: at(0), position: metadata.position, updatedAt: metadata.time },
})
/** Returns a version that cannot fold this name. */
const without = (name: string, version = 1): Projection<ProviderRow> => ({
  ...providers,
  version,
  fold: (row, event, metadata, key) => {
    if (event.type === 'ProviderRenamed' && event.name === name) throw new Error(`${name} is no name`)
    return providers.fold(row, event, metadata, key)
  },
})

describe('an event that cannot be folded', () => {
  test('parks its stream, which is shown and logged, and everything else goes on', async () => {
    const lines: string[] = []
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) })
    const metrics = new Registry()
    const runner = world.start({ log, metrics })
    const history = createSpecLog(world.store)
    await history.write('provider', 'p', register('p'))
    const poison = await writePoison(history)
    await history.write('provider', 'p', rename('Apex'))
    await history.write('provider', 'ghost', register('ghost'))
    const head = await writeMarket(history, 2)
    const follower = followProjections({ ...world, projections: allProjections })
    await Promise.all([runner.waitFor(head, 15_000), follower.waitFor(head, 15_000)])
    expect(await nameOf('p')).toBe('Apex')
    expect(await nameOf('ghost')).toBeUndefined()
    const event = { stream: 'provider-ghost', code: 'EVENT_NOT_FOLDED', message: expect.stringMatching(/no row/) }
    for (const projections of [runner, follower]) {
      const { state, parked } = await statusOf(projections)
      const first = [{ ...event, revision: 0n, position: poison, type: 'ProviderRenamed', held: 1n }]
      expect({ state, parked }).toMatchObject({ state: 'running', parked: { streams: 1, first } })
    }
    const logged = lines.map((line) => JSON.parse(line)).filter(({ projection }) => projection === 'providers')
    expect(logged).toEqual([expect.objectContaining({ level: 'error', revision: '0', ...event })])
    const text = await metrics.metrics()
    expect(text).toContain('projection_failures_total{projection="providers",code="EVENT_NOT_FOLDED"} 1\n')
    expect(text).toContain('projection_parked_streams{projection="providers"} 1\n')
    expect(text).toContain('projection_events_total{projection="rentals"} 7\n')
    expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
  })

  test('leaves the row as of the last event before it, also when more events come', async () => {
    const runner = world.start({ projections: [without('Apex')] })
    const log = createSpecLog(world.store)
    for (const name of ['Able', 'Apex', 'Baker']) {
      if (name === 'Able') await log.write('provider', 'p', register('p'))
      await runner.waitFor(await log.write('provider', 'p', rename(name)), 15_000)
      expect(await nameOf('p')).toBe('Able')
    }
    expect((await statusOf(runner)).parked.first).toMatchObject([{ revision: 2n, held: 1n }])
  })

  test('is parked once by two runners, and what it holds is counted once', async () => {
    const other = connectPostgres({ url: world.url, log: world.log, poolSize: 10 })
    const both = [without('Apex'), accounts] as const
    const one = world.start({ projections: both, batchSize: 3 })
    const two = world.start({ projections: both, batchSize: 2, database: other })
    const log = createSpecLog(world.store)
    await log.write('provider', 'p', register('p'))
    for (let round = 0; round < 30; round++)
      await log.write('provider', 'p', rename(round === 3 ? 'Apex' : `No ${round}`))
    const head = await writeMarket(log, 10)
    await Promise.all([one, two].map((runner) => runner.waitFor(head, 15_000)))
    expect(await nameOf('p')).toBe('No 2')
    expect((await statusOf(one)).parked).toMatchObject({ streams: 1, first: [{ revision: 4n, held: 26n }] })
    expect(await compareWithRebuild({ ...world, projections: both })).toEqual([])
    await two.close()
    await other.close()
  })

  test('may come in thousands of streams at once', async () => {
    const log = createSpecLog(world.store)
    await log.write('provider', 'p', register('p'))
    for (let ghost = 0; ghost < 1_500; ghost++) await writePoison(log, `ghost-${ghost}`)
    const head = await log.write('provider', 'p', rename('Apex'))
    const runner = world.start({ projections: [providers], batchSize: 5_000 })
    await runner.waitFor(head, 30_000)
    expect(await nameOf('p')).toBe('Apex')
    const { parked } = await statusOf(runner)
    expect([parked.streams, parked.first.length]).toEqual([1_500, 100])
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
  })
})

test('an event that cannot be read parks its stream as well', async () => {
  const log = createSpecLog(world.store)
  await log.write('provider', 'p', register('p'))
  await log.write('provider', 'q', register('q'))
  const [stored] = await log.stream('provider', 'p')
  if (!stored) throw new Error('nothing was written')
  const broken = { ...stored, id: log.eventId(999), type: 'ProviderRenamed', data: { name: 7 } }
  await world.store.append({ stream: 'provider-p', expected: 'any', events: [broken] })
  const head = await log.write('provider', 'q', rename('Quick'))
  const runner = world.start({ projections: [providers] })
  await runner.waitFor(head, 15_000)
  expect([await nameOf('p'), await nameOf('q')]).toEqual(['Acme', 'Quick'])
  expect((await statusOf(runner)).parked.first).toMatchObject([
    { stream: 'provider-p', revision: 1n, code: 'EVENT_UNREADABLE' },
  ])
})

describe('a row that the database refuses', () => {
  const offer = (gpuCount: number) =>
    ({
      type: 'GpusListed',
      provider: 'p',
      gpu: 'H100',
      gpuCount,
      vramMib: 1,
      vcpus: 1,
      memoryMib: 1,
      region: 'FR',
      pricePerGpuHour: usdc(1n),
      listedAt: at(0),
    }) as const
  const price = (amount: bigint) => ({ type: 'PriceChanged', pricePerGpuHour: usdc(amount) }) as const

  test('parks its stream alone, and leaves the row as of the last event before', async () => {
    const log = createSpecLog(world.store)
    for (const id of ['a', 'b', 'c', 'd', 'e']) await log.write('listing', id, offer(id === 'c' ? 3_000_000_000 : 1))
    for (const id of ['a', 'c', 'e']) await log.write('listing', id, price(7n))
    const runner = world.start({ projections: [listings] })
    await runner.waitFor(await log.write('listing', 'd', price(10n ** 100n)), 15_000)
    const found = await findListings(world.read, ['a', 'b', 'c', 'd', 'e'])
    expect(found.map((row) => row?.pricePerGpuHour)).toEqual([7n, 1n, undefined, 1n, 7n])
    expect((await statusOf(runner, 'listings')).parked.first).toMatchObject([
      {
        stream: 'listing-c',
        revision: 0n,
        held: 1n,
        message: 'value "…" is out of range for type integer (SQLSTATE 22003)',
      },
      { stream: 'listing-d', revision: 1n, held: 0n, code: 'EVENT_NOT_FOLDED' },
    ])
    await runner.waitFor(await log.write('listing', 'a', price(8n)), 15_000)
    expect(await compareWithRebuild({ ...world, projections: [listings] })).toEqual([])
    expect(await runner.retry('listings', 'listing-c')).toMatchObject({ outcome: 'parked', code: 'EVENT_NOT_FOLDED' })
  })
})

describe('a parked stream that is retried', () => {
  const ghosts = async () => {
    const log = createSpecLog(world.store)
    await writePoison(log)
    await log.write('provider', 'ghost', rename('Somebody'))
    await writePoison(log, 'other')
    return { log, head: await log.write('provider', 'p', register('p')) }
  }

  test('stays parked, with the reason, while it cannot be folded', async () => {
    const { head } = await ghosts()
    const runner = world.start({ projections: [providers] })
    await runner.waitFor(head, 15_000)
    expect(await runner.retry('providers', 'provider-ghost')).toMatchObject({
      outcome: 'parked',
      code: 'EVENT_NOT_FOLDED',
      message: expect.stringMatching(/no row/),
      revision: 0n,
    })
    expect((await statusOf(runner)).parked).toMatchObject({ streams: 2, first: [{ held: 1n }, { held: 0n }] })
    for (const [projection, stream] of [
      ['providers', 'provider-p'],
      ['providers', 'nothing'],
      ['nothing', 'provider-ghost'],
    ] as const)
      await expect(runner.retry(projection, stream)).rejects.toMatchObject({ code: 'PARKED_STREAM_UNKNOWN' })
  })

  test('is folded on request, also by a process without runners, and no event counts twice', async () => {
    const { log, head } = await ghosts()
    const running = world.start({ projections: [providers] })
    await running.waitFor(head, 15_000)
    const able = followProjections({ ...world, projections: [lenient()] })
    expect(await able.retry('providers', 'provider-ghost')).toEqual({ outcome: 'folded', events: 2 })
    expect(await nameOf('ghost')).toBe('Somebody')
    await expect(able.retry('providers', 'provider-ghost')).rejects.toMatchObject({ code: 'PARKED_STREAM_UNKNOWN' })
    // The runner has an older row in its cache, and finds the conflict.
    await running.waitFor(await log.write('provider', 'ghost', rename('Anybody')), 15_000)
    expect(await nameOf('ghost')).toBe('Anybody')
    expect((await statusOf(running)).parked).toMatchObject({ streams: 1, first: [{ stream: 'provider-other' }] })
    expect(await compareWithRebuild({ ...world, projections: [lenient()] })).toEqual([])
  })

  test('is folded up to the next event that cannot be folded, over any length', async () => {
    const log = createSpecLog(world.store)
    await writePoison(log)
    for (let round = 0; round < 1_200; round++) await log.write('provider', 'ghost', rename(`No ${round}`))
    const runner = world.start({ projections: [providers] })
    await runner.waitFor(await log.write('provider', 'ghost', rename('Apex')), 15_000)
    const lenientWithout = (name: string): Projection<ProviderRow> => ({
      ...lenient(),
      fold: (row, event, metadata, key) => {
        if (event.type === 'ProviderRenamed' && event.name === name) throw new Error(`${name} is no name`)
        return lenient().fold(row, event, metadata, key)
      },
    })
    const almost = followProjections({ ...world, projections: [lenientWithout('No 1100')] })
    expect(await almost.retry('providers', 'provider-ghost')).toMatchObject({ outcome: 'parked', revision: 1_101n })
    expect(await nameOf('ghost')).toBe('No 1099')
    expect((await statusOf(almost)).parked).toMatchObject({ streams: 1, first: [{ revision: 1_101n, held: 100n }] })
    const able = followProjections({ ...world, projections: [lenient()] })
    expect(await able.retry('providers', 'provider-ghost')).toEqual({ outcome: 'folded', events: 101 })
    expect(await nameOf('ghost')).toBe('Apex')
  })

  test('loses and doubles nothing while the runner writes on', async () => {
    const broken = { ...accounts, fold: failOnce(accounts, 'account-0xr1') }
    const runner = world.start({ projections: [broken], batchSize: 3 })
    const writing = writeMarket(createSpecLog(world.store), 40)
    await eventually('the stream is parked', async () => (await statusOf(runner, 'accounts')).parked.streams === 1)
    expect(await runner.retry('accounts', 'account-0xr1')).toMatchObject({ outcome: 'folded' })
    await runner.waitFor(await writing, 15_000)
    expect((await statusOf(runner, 'accounts')).parked.streams).toBe(0)
    expect(await compareWithRebuild({ ...world, projections: [accounts] })).toEqual([])
  })

  /** Returns a fold that throws at the third event of the stream, the first time. */
  const failOnce = (projection: typeof accounts, stream: string): (typeof accounts)['fold'] => {
    let failed = false
    return (row, event, metadata, key) => {
      if (metadata.stream === stream && metadata.revision === 2n && !failed) {
        failed = true
        throw new Error('not now')
      }
      return projection.fold(row, event, metadata, key)
    }
  }

  test('is retried by each start', async () => {
    const { head } = await ghosts()
    const before = world.start({ projections: [providers] })
    await before.waitFor(head, 15_000)
    await before.close()
    const after = world.start({ projections: [lenient()] })
    await eventually('nothing is parked', async () => (await statusOf(after)).parked.streams === 0)
    expect([await nameOf('ghost'), await nameOf('other')]).toEqual(['Somebody', 'Nobody'])
    expect(await compareWithRebuild({ ...world, projections: [lenient()] })).toEqual([])
  })
})

test('a new version parks what it cannot fold itself, and the parked streams of the old one are deleted', async () => {
  const log = createSpecLog(world.store)
  await writePoison(log)
  await log.write('provider', 'p', register('p'))
  await log.write('provider', 'p', rename('Able'))
  const head = await log.write('provider', 'p', rename('Apex'))
  const old = world.start({ projections: [providers] })
  await old.waitFor(head, 15_000)
  await old.close()
  const strict = { ...without('Apex', 2), fold: chain(without('Apex', 2), lenient(2)) }
  const next = world.start({ projections: [strict] })
  await eventually('the new version is read', async () => (await statusOf(next)).served?.version === 2)
  expect([await nameOf('ghost'), await nameOf('p')]).toEqual(['Nobody', 'Able'])
  expect((await statusOf(next)).parked).toMatchObject({ streams: 1, first: [{ stream: 'provider-p', version: 2 }] })
  expect(await world.database.query('spec.parked', 'select version from read.parked_streams')).toEqual([{ version: 2 }])
  expect(await compareWithRebuild({ ...world, projections: [strict] })).toEqual([])
})

/** Returns a fold with the rows of the second that fails where the first does. */
const chain =
  (first: Projection<ProviderRow>, second: Projection<ProviderRow>): Projection<ProviderRow>['fold'] =>
  (row, event, metadata, key) => {
    if (row) first.fold(row, event, metadata, key)
    return second.fold(row, event, metadata, key)
  }
