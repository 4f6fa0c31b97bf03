import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { streamOf } from '../../domain/aggregates.ts'
import type { Position } from '../../infra/event-store/port.ts'
import { connectPostgres, type Database } from '../../infra/postgres.ts'
import { runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { endOtherConnections } from '../../testing/servers/database.ts'
import { allProjections } from '../all.ts'
import { ledgerSums } from '../ledger-entries.ts'
import { providers } from '../providers.ts'
import { rentals } from '../rentals.ts'
import { moveStatement, moveValues, readBuilds, readCheckpoints } from './checkpoints.ts'
import { createSpecLog, register } from './log.testing.ts'
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
