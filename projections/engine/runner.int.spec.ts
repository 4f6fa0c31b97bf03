import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { streamOf } from '../../domain/aggregates.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { connectPostgres, type Database, type Query } from '../../infra/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { endOtherConnections } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { allProjections } from '../all.ts'
import { ledgerSums } from '../ledger-entries.ts'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { moveStatement, moveValues, readBuilds, readCheckpoints } from './checkpoints.ts'
import { createSpecLog, register, type SpecLog } from './log.testing.ts'
import { writeMarket } from './market.testing.ts'
import { followProjections } from './start.ts'
import { compareWithRebuild } from './verify.ts'
import { openModel } from './versions.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

let world: ReadWorld
beforeEach(async () => {
  world = await createReadWorld()
})
afterEach(() => world.close())

/** Expects that all rows equal a fresh fold of the log, and that the sum of the ledger is zero. */
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
    const runners = [world.start({ batchSize: 3 }), world.start({ batchSize: 7, database: other })]
    const head = await writeMarket(createSpecLog(world.store), 40)
    await Promise.all(runners.map((runner) => runner.waitFor(head, 30_000)))
    await expectExact()
    for (const runner of runners) await runner.close()
    await other.close()
  })

  test('when the process is killed again and again', async () => {
    const first = world.start()
    await eventually('all are read', async () => (await positionsOf()).length === allProjections.length)
    await first.close()
    const head = await writeMarket(createSpecLog(world.store), 60)
    const file = fileURLToPath(new URL('../../testing/programs/projection.ts', import.meta.url))
    const run = () => runChild(`await import(${JSON.stringify(file)})`, { env: { DATABASE_URL: world.url } })
    const sumOf = (positions: readonly string[]) =>
      positions.reduce((sum, position) => sum + Number(position.slice(-20)), 0)
    const isDone = (positions: readonly string[]) => positions.every((position) => position >= head)
    let killed = 0
    for (let kill = 0; kill < 5; kill++) {
      const before = sumOf(await positionsOf())
      const child = run()
      await eventually('the checkpoints move', async () => {
        const now = await positionsOf()
        return isDone(now) || sumOf(now) > before + 20
      })
      await child.kill()
      if (!isDone(await positionsOf())) killed += 1
    }
    expect(killed).toBeGreaterThan(1)
    // The ledger may still be empty at this point, but the rows that exist must be exact.
    expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
    await world.start().waitFor(head, 30_000)
    await expectExact()
  })

  test('when the database drops all connections', async () => {
    const head = await writeMarket(createSpecLog(world.store), 40)
    const runner = world.start({ batchSize: 2 })
    const other = connectPostgres({ url: world.url, log: world.log, poolSize: 1 })
    for (let cut = 0; cut < 5; cut++) {
      const before = await other.query('spec.sum', sumOfPositions)
      await eventually('the checkpoints move', async () => {
        const [now] = await other.query<{ sum: string }>('spec.sum', sumOfPositions)
        return now?.sum !== (before[0] as { sum: string }).sum
      })
      await other.query('spec.terminate', endOtherConnections)
    }
    await other.close()
    await runner.waitFor(head, 30_000)
    await expectExact()
  })

  test('when the answer to a commit is lost', async () => {
    let lost = 0
    const flaky: Pick<Database, 'query' | 'transaction'> = {
      transaction: world.database.transaction,
      query: async (label, ...rest) => {
        const answer = await world.database.query(label, ...rest)
        if (label === 'projections.write' && lost++ % 3 === 0) throw new Error('the connection broke after the commit')
        return answer as never
      },
    }
    const head = await writeMarket(createSpecLog(world.store), 10)
    await world.start({ database: flaky, batchSize: 20 }).waitFor(head, 30_000)
    expect(lost).toBeGreaterThan(10)
    await expectExact()
  })

  test('a checkpoint moves only from where it is', async () => {
    const { database, store } = world
    const [first, second] = [
      await createSpecLog(store).write('provider', 'p', register('p')),
      await createSpecLog(store, 1).write('provider', 'q', register('q')),
    ]
    const { target, state } = await openModel(database, providers, store)
    const move = async (from: Position, to: Position, retries = 0) =>
      (
        await database.query(
          'spec.move',
          moveStatement(target),
          moveValues(target, { ...state, position: from, retries }, to, 0),
        )
      ).length
    expect(target.kind).toBe('build')
    expect(await move(first, second)).toBe(0)
    expect(await move(store.start, first, 1)).toBe(0)
    expect(await move(store.start, first)).toBe(1)
    expect(await move(store.start, second)).toBe(0)
    expect((await readBuilds(database.query, ['providers']))[0]?.position).toBe(first)
  })
})

const sumOfPositions = 'select sum(right(position, 20)::numeric) as sum from read.checkpoints'

describe('waiting for a position', () => {
  test('also ends for a process without runners, and for events that concern no read model in question', async () => {
    const runner = world.start({ projections: [rentals] })
    const follower = followProjections({ ...world, projections: [rentals] })
    const position = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await Promise.all([runner.waitFor(position, 15_000), follower.waitFor(position, 15_000)])
    const [checkpoint] = await readCheckpoints(world.database.query, ['rentals'])
    expect(checkpoint?.position).toBe(position)
  })

  test('is given up in time, and when the runner closes', async () => {
    const position = await createSpecLog(world.store).write('provider', 'p', register('p'))
    const follower = followProjections({ ...world, projections: [rentals] })
    const late = { code: 'POSITION_NOT_REACHED', details: { position, behind: 'rentals' } }
    await expect(follower.waitFor(position, 60)).rejects.toMatchObject(late)
    const closing = expect(follower.waitFor(position, 60_000)).rejects.toMatchObject(late)
    await follower.close()
    await closing
  })
})

describe('the comparison with a rebuild', () => {
  test('names each row and column that differs from the fold of the log', async () => {
    const log = createSpecLog(world.store)
    for (const wallet of ['p', 'q']) await log.write('provider', wallet, register(wallet))
    const head = await log.store.head()
    await world.start().waitFor(head, 15_000)
    await world.database.query('spec.tamper', `update read.providers set name = 'Evil' where id = 'p'`)
    await world.database.query('spec.tamper', `update read.providers set id = 'r' where id = 'q'`)
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([
      { projection: 'providers', id: 'p', problem: 'differs', columns: { name: { live: 'Evil', rebuilt: 'Acme' } } },
      { projection: 'providers', id: 'r', problem: 'not in the log', columns: {} },
      { projection: 'providers', id: 'q', problem: 'missing in the table', columns: {} },
    ])
  })

  test('holds for a table at any checkpoint', async () => {
    await createSpecLog(world.store).write('provider', 'p', register('p'))
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
    expect(await Array.fromAsync(world.store.readStream(streamOf('provider', 'p')))).toHaveLength(1)
  })
})

/** Writes an event of a provider every 50 ms while the work goes on. */
const whileBusy = async <T>(log: SpecLog, work: () => Promise<T>): Promise<T> => {
  let isOver = false
  const busy = async () => {
    for (; !isOver; await delay(50)) await log.write('provider', '0xp', register('0xp'))
  }
  const writing = busy()
  try {
    return await work()
  } finally {
    isOver = true
    await writing
  }
}

describe('a database that answers and takes no writes', () => {
  test('is said once by each read model and asked ever less often, in a busy log and in an idle one', async () => {
    const warned: unknown[] = []
    const counting: Log = { ...silentLog, warn: (line: unknown) => warned.push(line) } as Log
    let openings = 0
    const database: Pick<Database, 'query' | 'transaction'> = {
      query: world.database.query,
      transaction: (label, work) => {
        if (label === 'projections.open') openings += 1
        return world.database.transaction(label, work)
      },
    }
    const log = createSpecLog(world.store)
    const running = world.start({ database, log: counting })
    await running.waitFor(await log.write('provider', '0xp', register('0xp')), 10_000)
    const { query } = world.database
    await query(
      'spec.full',
      `create function full_disk() returns trigger language plpgsql
        as $$ begin raise exception 'no space left' using errcode = '53100'; end $$`,
    )
    await query(
      'spec.full',
      'create trigger full_disk before update of position on read.checkpoints for each row execute function full_disk()',
    )
    openings = 0
    await whileBusy(log, () => delay(4_000))
    await delay(2_000)
    expect(warned).toHaveLength(allProjections.length)
    // Pauses of 0.1, 0.2, 0.4, 0.8 and 1.6 s, each after a quarter of a second.
    expect(openings / allProjections.length).toBeLessThan(8)
    await query('spec.room', 'drop trigger full_disk on read.checkpoints')
    await running.waitFor(await log.write('provider', '0xp', register('0xp')), 15_000)
    expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
  })
})

test('a query waits for no checkpoint that is locked when no rows have to be written before', async () => {
  const log = createSpecLog(world.store)
  const running = world.start({ projections: [rentals] })
  await running.waitFor(await log.write('provider', '0xp', register('0xp')), 10_000)
  await whileBusy(log, async () => {
    await delay(500)
    await world.database.transaction('spec.hold', async (query) => {
      await query('spec.lock', 'select 1 from read.checkpoints for update')
      await delay(500)
      await running.waitFor(await log.write('provider', '0xq', register('0xq')), 2_000)
    })
  })
})

test('read models at rest look at their checkpoints together', async () => {
  let looks = 0
  const query: Query = (label, ...rest) => {
    if (label === 'checkpoints.read') looks += 1
    return world.database.query(label, ...rest)
  }
  const running = world.start({ database: { ...world.database, query } })
  await running.waitFor(await createSpecLog(world.store).write('provider', '0xp', register('0xp')), 10_000)
  await delay(2_500)
  looks = 0
  await delay(3_000)
  expect(looks).toBeGreaterThan(1)
  expect(looks).toBeLessThan(2 * allProjections.length)
})
