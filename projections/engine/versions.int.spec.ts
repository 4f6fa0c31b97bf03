import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { allProjections } from '../all.ts'
import type { ProviderRow } from '../providers.table.ts'
import { findProvider, providers } from '../providers.ts'
import type { RentalRow } from '../rentals.table.ts'
import { findRental, listRentals, rentals } from '../rentals.ts'
import { readBuilds, readCheckpoints } from './checkpoints.ts'
import { at, createSpecLog, register } from './log.testing.ts'
import { writeMarket } from './market.testing.ts'
import { pauseAfter } from './paused-store.testing.ts'
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

/** Returns a later version, in which `change` is applied to names. */
const renamed = (version: number, change: (name: string) => string): Projection<ProviderRow> => ({
  ...providers,
  version,
  fold: (row, event, metadata, key) => {
    const after = providers.fold(row, event, metadata, key)
    return after && { ...after, name: change(after.name) }
  },
})
const loud = renamed(2, (name) => name.toUpperCase())
const loudRentals: Projection<RentalRow> = {
  ...rentals,
  version: rentals.version + 1,
  fold: (row, event, metadata, key) => {
    const after = rentals.fold(row, event, metadata, key)
    return after && { ...after, listing: after.listing.toUpperCase() }
  },
}

const statusOf = async (projections: Projections, name = 'providers'): Promise<ProjectionStatus> => {
  const { projections: all } = await projections.status()
  const found = all.find((status) => status.name === name)
  if (!found) throw new Error(`${name} has no status`)
  return found
}
const untilState = (projections: Projections, state: ProjectionStatus['state'], name?: string) =>
  eventually(`the state ${state}`, async () => {
    const status = await statusOf(projections, name)
    return status.state === state && status
  })
const indexes = () =>
  world.database.query('spec.indexes', `select indexdef from pg_indexes where schemaname = 'read' order by indexname`)
const tablesBuilt = () =>
  world.database.query('spec.tables', `select tablename from pg_tables where schemaname = 'read_build'`)

test('on an empty log all is read at once, and nothing is built', async () => {
  const projections = world.start()
  await projections.waitFor(world.store.start, 15_000)
  expect((await projections.status()).projections.map(({ state }) => state)).toEqual(
    allProjections.map(() => 'running'),
  )
  expect(await readBuilds(world.database.query, [...allProjections.map(({ name }) => name)])).toEqual([])
})

describe('a new version of a read model', () => {
  test('replaces the old one under queries that never see fewer rows or half of a version', async () => {
    const log = createSpecLog(world.store)
    const head = await writeMarket(log, 40)
    const old = world.start({ projections: [rentals] })
    await old.waitFor(head, 15_000)
    await world.database.query('spec.grant', 'grant select on read.rentals to pg_monitor, public')
    const indexesBefore = await indexes()
    let asking = true
    const seen: string[] = []
    const ask = async () => {
      while (asking) {
        const { rows } = await listRentals(world.read, { first: 40 })
        const versions = new Set(rows.map(({ listing }) => (listing.startsWith('L') ? 'new' : 'old')))
        seen.push(`${rows.length} ${[...versions].join(' and ')}`)
      }
    }
    const asked = [ask(), ask(), ask()]
    const built = world.start({ projections: [loudRentals], batchSize: 3 })
    await untilState(built, 'running', 'rentals')
    await eventually('the new version is seen', () => seen.at(-1) === '40 new')
    asking = false
    await Promise.all(asked)
    expect([...new Set(seen)]).toEqual(['40 old', '40 new'])

    const next = await log.write('rental', 'r1', { type: 'UsageMetered', runSeconds: 300n, ...usage })
    await built.waitFor(next, 15_000)
    expect(await findRental(world.read, 'r1')).toMatchObject({ listing: 'L1', runSeconds: 300n })
    expect(await compareWithRebuild({ ...world, projections: [loudRentals] })).toEqual([])
    expect(await tablesBuilt()).toEqual([])
    // Indexes and constraints have their names again, for the migrations that come.
    expect(await indexes()).toEqual(indexesBefore)
    const grants = await world.database.query(
      'spec.grants',
      `select grantee from information_schema.role_table_grants
        where table_name = 'rentals' and grantee in ('PUBLIC', 'pg_monitor') order by grantee`,
    )
    expect(grants).toEqual([{ grantee: 'PUBLIC' }, { grantee: 'pg_monitor' }])
  })

  const fee = { amount: 1n, asset: 'USDC/6' } as const
  const usage = { fee, total: fee, meteredAt: at(1) } as const

  test('is built while the old one goes on, which is superseded then and still answers', async () => {
    const log = createSpecLog(world.store)
    await log.write('provider', 'p', register('p'))
    const old = world.start({ projections: [providers] })
    await untilState(old, 'running')
    const paused = pauseAfter(world.store, 0)
    const built = world.start({ projections: [loud], store: paused.store })
    await paused.isPaused
    const served = await log.write('provider', 'q', register('q'))
    await Promise.all([old.waitFor(served, 15_000), built.waitFor(served, 15_000)])
    expect(await findProvider(world.read, 'q')).toMatchObject({ name: 'Acme' })
    expect(await statusOf(built)).toMatchObject({
      version: 2,
      state: 'building',
      served: { version: 1, position: served, lag: 0 },
      building: { version: 2, position: world.store.start, percent: 0, lag: 2, perSecond: null, secondsLeft: null },
    })
    paused.resume()
    await untilState(built, 'running')
    expect(await findProvider(world.read, 'q')).toMatchObject({ name: 'ACME' })
    expect(await statusOf(built)).toMatchObject({ served: { version: 2 }, building: undefined })

    const next = await log.write('provider', 'r', register('r'))
    expect((await untilState(old, 'superseded')).failure?.code).toBe('DATABASE_SCHEMA_NEWER')
    await Promise.all([old.waitFor(next, 15_000), built.waitFor(next, 15_000)])
    expect(await compareWithRebuild({ ...world, projections: [loud] })).toEqual([])
  })

  test('leaves the old rows as they are while no runner folds them: waiting for a later position fails', async () => {
    const log = createSpecLog(world.store)
    const first = await log.write('provider', 'p', register('p'))
    const old = world.start({ projections: [providers] })
    await old.waitFor(first, 15_000)
    await old.close()
    const second = await log.write('provider', 'p', { type: 'ProviderRenamed', name: 'Apex' })
    const paused = pauseAfter(world.store, 0)
    const built = world.start({ projections: [loud], store: paused.store })
    await paused.isPaused
    await built.waitFor(first, 15_000)
    await expect(built.waitFor(second, 100)).rejects.toMatchObject({ code: 'POSITION_NOT_REACHED' })
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Acme' })
    paused.resume()
    await built.waitFor(second, 15_000)
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'APEX' })
  })

  test('is built by two processes as by one', async () => {
    await writeMarket(createSpecLog(world.store), 30)
    const next = { ...loudRentals, version: 7 }
    const [one, other] = [
      world.start({ projections: [next], batchSize: 3 }),
      world.start({ projections: [next], batchSize: 7 }),
    ]
    await Promise.all([untilState(one, 'running', 'rentals'), untilState(other, 'running', 'rentals')])
    await Promise.all([one, other].map(async (each) => each.waitFor(await world.store.head(), 15_000)))
    expect(await compareWithRebuild({ ...world, projections: [next] })).toEqual([])
  })

  test('is given up for a still newer one, from which it stays away', async () => {
    const head = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await world.start({ projections: [providers] }).waitFor(head, 15_000)
    const paused = pauseAfter(world.store, 0)
    const second = world.start({ projections: [loud], store: paused.store })
    await paused.isPaused
    const third = world.start({ projections: [renamed(3, (name) => `${name}!`)] })
    await untilState(third, 'running')
    paused.resume()
    await untilState(second, 'superseded')
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Acme!' })
    expect(await tablesBuilt()).toEqual([])
  })

  test('is begun anew when a migration has changed its table meanwhile', async () => {
    const head = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await world.start({ projections: [providers] }).waitFor(head, 15_000)
    const paused = pauseAfter(world.store, 0)
    const stopped = world.start({ projections: [loud], store: paused.store })
    await paused.isPaused
    await stopped.close()
    await world.database.query('spec.migrate', 'alter table read.providers add column motto text')
    await untilState(world.start({ projections: [loud] }), 'running')
    expect(await world.database.query('spec.look', 'select name, motto from read.providers')).toEqual([
      { name: 'ACME', motto: null },
    ])
  })

  test('waits with the swap for a long query, and other queries do not wait for it', async () => {
    const head = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await world.start({ projections: [providers] }).waitFor(head, 15_000)
    const reading = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const long = world.database.transaction('spec.long', async (query) => {
      await query('spec.read', 'select * from read.providers')
      held.resolve()
      await reading.promise
    })
    await held.promise
    const built = world.start({ projections: [loud] })
    await untilState(built, 'building')
    await eventually('the swap has waited', async () => {
      const [found] = await world.database.query<{ waits: boolean }>(
        'spec.locks',
        `select exists (select from pg_locks where not granted and relation = 'read.providers'::regclass) as waits`,
      )
      return found?.waits
    })
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Acme' })
    reading.resolve()
    await long
    await untilState(built, 'running')
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'ACME' })
  })

  test('shows what prevents the swap, to other processes too, and goes on when that is gone', async () => {
    const head = await createSpecLog(world.store).write('provider', 'p', register('p'))
    await world.start({ projections: [providers] }).waitFor(head, 15_000)
    await world.database.query('spec.view', 'create view read.loud_ones as select * from read.providers')
    const built = world.start({ projections: [loud] })
    const follower = followProjections({ ...world, projections: [loud] })
    expect((await untilState(built, 'waiting')).failure?.message).toMatch(/other objects depend on it/)
    expect((await untilState(follower, 'waiting')).failure?.message).toMatch(/other objects depend on it/)
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'Acme' })
    await world.database.query('spec.view', 'drop view read.loud_ones')
    await untilState(built, 'running')
    expect(await findProvider(world.read, 'p')).toMatchObject({ name: 'ACME' })
  })

  test('resumes at its checkpoint when its process is killed, again and again', async () => {
    const head = await writeMarket(createSpecLog(world.store), 60)
    const file = fileURLToPath(new URL('../../testing/programs/projection.ts', import.meta.url))
    const names = allProjections.map(({ name }) => name)
    const positions = async () => {
      const builds = await readBuilds(world.database.query, names)
      const live = await readCheckpoints(world.database.query, names)
      return new Map([...builds, ...live].map(({ projection, position }) => [projection, position]))
    }
    const sumOf = (found: ReadonlyMap<string, string>) =>
      [...found.values()].reduce((sum, position) => sum + Number(position.slice(-20)), 0)
    const isDone = (found: ReadonlyMap<string, string>) =>
      found.size === names.length && [...found.values()].every((position) => position >= head)
    let killedWhileBuilding = 0
    for (let kill = 0; kill < 5; kill++) {
      const before = await positions()
      const child = runChild(`await import(${JSON.stringify(file)})`, { env: { DATABASE_URL: world.url } })
      await eventually('the builds move', async () => {
        const now = await positions()
        return sumOf(now) > sumOf(before) + 200 || isDone(now)
      })
      await child.kill()
      const after = await positions()
      if ((await readBuilds(world.database.query, names)).length > 0) killedWhileBuilding += 1
      for (const [name, position] of before) expect((after.get(name) ?? '') >= position).toBe(true)
    }
    expect(killedWhileBuilding).toBeGreaterThan(0)
    const projections = world.start()
    await projections.waitFor(await world.store.head(), 30_000)
    expect(await compareWithRebuild({ ...world, projections: allProjections })).toEqual([])
    expect(await tablesBuilt()).toEqual([])
  })
})

describe('a read model that was never built', () => {
  test('refuses queries and shows its progress, while the others answer; then it is there as a whole', async () => {
    const head = await writeMarket(createSpecLog(world.store), 8)
    const paused = pauseAfter(world.store, 1)
    const built = world.start({ projections: [rentals], store: paused.store, batchSize: 2 })
    const others = world.start({ projections: allProjections.filter(({ name }) => name !== 'rentals') })
    await others.waitFor(head, 15_000)
    await paused.isPaused
    expect(await findProvider(world.read, 'nobody')).toBeUndefined()
    await eventually(
      'the first batch is written',
      async () => ((await statusOf(built, 'rentals')).building?.percent ?? 0) > 0,
    )
    await expect(listRentals(world.read, { first: 10 })).rejects.toMatchObject({
      code: 'READ_MODEL_BUILDING',
      details: { projection: 'rentals', percent: expect.stringMatching(/^\d+(\.\d)?$/) },
    })
    const follower = followProjections({ ...world, projections: [rentals] })
    expect(await statusOf(follower, 'rentals')).toMatchObject({ state: 'building', served: undefined })
    const waiting = listRentals(world.read, { first: 10 })
    paused.resume()
    expect((await waiting).rows).toHaveLength(8)
  })
})
