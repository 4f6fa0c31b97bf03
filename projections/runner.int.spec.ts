import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { streamOf } from '../domain/aggregates.ts'
import type { Position } from '../infra/event-store/port.ts'
import { connectPostgres, type Database } from '../infra/postgres.ts'
import { createLog } from '../infra/telemetry.ts'
import { eventually, runChild } from '../testing/children.ts'
import { allProjections } from './all.ts'
import { moveCheckpoint, openCheckpoint, readCheckpoints } from './checkpoints.ts'
import { ledgerSums } from './ledger-entries.ts'
import type { Projection } from './projection.ts'
import { findProvider, type ProviderRow, providers } from './providers.ts'
import { compareWithRebuild } from './rebuild.ts'
import { rentals } from './rentals.ts'
import { at, createSpecLog, type SpecLog } from './spec-log.ts'
import { type Life, writeLives } from './spec-market.ts'
import { createReadWorld, type ReadWorld } from './spec-world.ts'
import { followProjections, type Projections, startProjections } from './start.ts'

let world: ReadWorld
let started: Projections[] = []
beforeEach(async () => {
  world = await createReadWorld()
  started = []
})
afterEach(async () => {
  for (const projections of started) await projections.close()
  await world.close()
})

const start = (options: Partial<Parameters<typeof startProjections>[0]> = {}) => {
  const { store, database, log } = world
  const projections = startProjections({ projections: allProjections, store, database, log, ...options })
  started.push(projections)
  return projections
}

const ends = ['settled', 'active', 'rejected', 'settled'] as const
const lives = (count: number): Life[] =>
  Array.from({ length: count }, (_, number) => ({ number, end: ends[number % 4] ?? 'settled' }))

/** Lives side by side, a few at a time, in an order that looks random and is always the same. */
const writeMarket = async (log: SpecLog, count: number): Promise<Position> => {
  const all = lives(count)
  for (let first = 0; first < count; first += 5)
    await writeLives(
      log,
      all.slice(first, first + 5),
      Array.from({ length: 200 }, (_, pick) => (pick * 7919 + first * 31) % 97),
    )
  return log.store.head()
}

const register = (wallet: string) =>
  ({ type: 'ProviderRegistered', wallet, name: 'Acme', registeredAt: at(0) }) as const

/** All is as a fresh fold of the log says, and the books are even. */
const expectExact = async () => {
  expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
  const { assets } = await ledgerSums(world.read)
  expect(assets).toEqual([{ asset: 'USDC/6', sum: 0n }])
}

const positionsOf = async (): Promise<string[]> =>
  (
    await readCheckpoints(
      world.database.query,
      allProjections.map(({ name }) => name),
    )
  ).map(({ position }) => position)

describe('each event counts exactly once', () => {
  test('with two runners at once', async () => {
    const other = connectPostgres({ url: world.url, log: world.log, poolSize: 10 })
    start({ batchSize: 3 })
    start({ batchSize: 7, database: other })
    const head = await writeMarket(createSpecLog(world.store), 40)
    await Promise.all(started.map((runner) => runner.waitFor(head, 30_000)))
    await expectExact()
    for (const runner of started) await runner.close()
    await other.close()
  })

  test('when the process is killed again and again', async () => {
    const head = await writeMarket(createSpecLog(world.store), 60)
    const file = fileURLToPath(new URL('../testing/projection-process.ts', import.meta.url))
    const run = () => runChild(`await import(${JSON.stringify(file)})`, { env: { DATABASE_URL: world.url } })
    const sumOf = (positions: readonly string[]) =>
      positions.reduce((sum, position) => sum + Number(position.slice(-20)), 0)
    for (let kill = 0; kill < 5; kill++) {
      const before = sumOf(await positionsOf())
      const child = run()
      await eventually('the checkpoints move', async () => sumOf(await positionsOf()) > before + 20)
      await child.kill()
    }
    const positions = await positionsOf()
    expect(positions.some((position) => position < head)).toBe(true)
    // Half way the ledger may be empty still; what there is must be exact.
    expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
    await start().waitFor(head, 30_000)
    await expectExact()
  })

  test('when the database drops all connections', async () => {
    const head = await writeMarket(createSpecLog(world.store), 40)
    const runner = start({ batchSize: 2 })
    const other = connectPostgres({ url: world.url, log: world.log, poolSize: 1 })
    for (let cut = 0; cut < 5; cut++) {
      const before = await other.query('spec.sum', sumOfPositions)
      await eventually('the checkpoints move', async () => {
        const [now] = await other.query<{ sum: string }>('spec.sum', sumOfPositions)
        return now?.sum !== (before[0] as { sum: string }).sum
      })
      await other.query('spec.terminate', terminateOthers)
    }
    await other.close()
    await runner.waitFor(head, 30_000)
    await expectExact()
  })

  test('when the answer to a commit is lost', async () => {
    let lost = 0
    const flaky: Pick<Database, 'query' | 'transaction'> = {
      query: world.database.query,
      transaction: async (label, work) => {
        const answer = await world.database.transaction(label, work)
        if (label === 'projections.write' && lost++ % 3 === 0) throw new Error('the connection broke after the commit')
        return answer
      },
    }
    const head = await writeMarket(createSpecLog(world.store), 10)
    await start({ database: flaky, batchSize: 20 }).waitFor(head, 30_000)
    expect(lost).toBeGreaterThan(10)
    await expectExact()
  })

  test('a checkpoint moves only from where it is', async () => {
    const { database, store } = world
    const [first, second] = [
      await createSpecLog(store).write('provider', 'p', register('p')),
      await createSpecLog(store, 1).write('provider', 'q', register('q')),
    ]
    await openCheckpoint(database, providers, store)
    expect(await moveCheckpoint(database.query, providers, first, second)).toBe(false)
    expect(await moveCheckpoint(database.query, providers, store.start, first)).toBe(true)
    expect(await moveCheckpoint(database.query, providers, store.start, second)).toBe(false)
    expect((await readCheckpoints(database.query, ['providers']))[0]?.position).toBe(first)
  })
})

const sumOfPositions = 'select sum(right(position, 20)::numeric) as sum from read.checkpoints'
const terminateOthers = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`

describe('an event that cannot be folded', () => {
  const writePoison = async (log: SpecLog) => {
    await log.write('provider', 'p', register('p'))
    await log.write('provider', 'ghost', { type: 'ProviderRenamed', name: 'Nobody' })
    await log.write('provider', 'p', { type: 'ProviderRenamed', name: 'Apex' })
    return writeMarket(log, 2)
  }

  test('stops its read model just before it, is shown and said, and the others go on', async () => {
    const lines: string[] = []
    const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) })
    const metrics = new Registry()
    const runner = start({ log, metrics })
    const head = await writePoison(createSpecLog(world.store))
    const failure = { stream: 'provider-ghost', revision: '0', code: 'INTERNAL' }
    const stuck = (projections: Projections) =>
      eventually('providers are stuck', async () =>
        (await projections.status()).find(({ name, state }) => name === 'providers' && state === 'stuck'),
      )
    expect((await stuck(runner)).failure).toMatchObject(failure)
    const follower = followProjections({ projections: allProjections, database: world.database })
    expect((await stuck(follower)).failure).toMatchObject(failure)
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Acme' })
    const others = followProjections({ projections: [rentals], database: world.database })
    await others.waitFor(head, 15_000)
    const said = lines.map((line) => JSON.parse(line)).filter(({ projection }) => projection === 'providers')
    expect(said).toEqual([expect.objectContaining({ level: 'error', ...failure })])
    expect(await metrics.metrics()).toMatch(/projection_failures_total\{projection="providers",code="INTERNAL"\} [1-9]/)
    expect(await metrics.metrics()).toMatch(/projection_events_total\{projection="rentals"\} 7\n/)
    await expect(runner.waitFor(head, 50)).rejects.toMatchObject({
      code: 'POSITION_NOT_REACHED',
      details: { behind: 'providers' },
    })
  })

  test('is folded by a version that can, and nothing before it is folded twice', async () => {
    const runner = start()
    const head = await writePoison(createSpecLog(world.store))
    await eventually('providers are stuck', async () => (await runner.status()).some(({ state }) => state === 'stuck'))
    await runner.close()
    const lenient: Projection<ProviderRow> = {
      ...providers,
      fold: (row, event, recorded, key) =>
        row || event.type !== 'ProviderRenamed' ? providers.fold(row, event, recorded, key) : undefined,
    }
    await start({ projections: [lenient] }).waitFor(head, 15_000)
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Apex' })
    const [checkpoint] = await readCheckpoints(world.database.query, ['providers'])
    expect(checkpoint?.failure).toBeNull()
  })
})

describe('a new version of a read model', () => {
  const loud: Projection<ProviderRow> = {
    ...providers,
    version: 2,
    fold: (row, event, recorded, key) => {
      const after = providers.fold(row, event, recorded, key)
      return after && { ...after, name: after.name.toUpperCase() }
    },
  }

  test('is built anew, and the old version stays away then', async () => {
    const log = createSpecLog(world.store)
    const head = await log.write('provider', 'p', register('p'))
    const old = start({ projections: [providers] })
    await old.waitFor(head, 15_000)
    await start({ projections: [loud] }).waitFor(head, 15_000)
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'ACME' })
    const next = await log.write('provider', 'q', register('q'))
    const refused = await eventually('the old one stands still', async () =>
      (await old.status()).find(({ state }) => state === 'waiting'),
    )
    expect(refused.failure?.code).toBe('DATABASE_SCHEMA_NEWER')
    await started[1]?.waitFor(next, 15_000)
    expect(await compareWithRebuild({ ...world, projections: [loud] })).toEqual([])
  })
})

describe('waiting for a position', () => {
  test('also ends for a process without runners, and for events that concern no read model in question', async () => {
    start({ projections: [rentals] })
    const follower = followProjections({ projections: [rentals], database: world.database })
    const position = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await Promise.all([started[0]?.waitFor(position, 15_000), follower.waitFor(position, 15_000)])
    const [checkpoint] = await readCheckpoints(world.database.query, ['rentals'])
    expect(checkpoint?.position).toBe(position)
  })

  test('is given up in time, and when the runner closes', async () => {
    const position = await createSpecLog(world.store).write('provider', 'p', register('p'))
    const follower = followProjections({ projections: [rentals], database: world.database })
    const late = { code: 'POSITION_NOT_REACHED', details: { position, behind: 'rentals' } }
    await expect(follower.waitFor(position, 60)).rejects.toMatchObject(late)
    const closing = expect(follower.waitFor(position, 60_000)).rejects.toMatchObject(late)
    await follower.close()
    await closing
  })
})

describe('the comparison with a rebuild', () => {
  test('names each row and column that is not what the log says', async () => {
    const log = createSpecLog(world.store)
    for (const wallet of ['p', 'q']) await log.write('provider', wallet, register(wallet))
    const head = await log.store.head()
    await start().waitFor(head, 15_000)
    await world.database.query('spec.tamper', `update read.providers set name = 'Evil' where id = 'p'`)
    await world.database.query('spec.tamper', `update read.providers set id = 'r' where id = 'q'`)
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([
      { projection: 'providers', id: 'p', problem: 'differs', columns: { name: { live: 'Evil', rebuilt: 'Acme' } } },
      { projection: 'providers', id: 'r', problem: 'not in the log', columns: {} },
      { projection: 'providers', id: 'q', problem: 'missing in the table', columns: {} },
    ])
  })

  test('does not care how far a table is', async () => {
    await createSpecLog(world.store).write('provider', 'p', register('p'))
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
    expect(await Array.fromAsync(world.store.readStream(streamOf('provider', 'p')))).toHaveLength(1)
  })
})
