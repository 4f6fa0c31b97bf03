import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../domain/errors.ts'
import type { Query } from '../../infra/postgres.ts'
import { eventually } from '../../testing/eventually.ts'
import { allProjections } from '../all.ts'
import { readCheckpoints } from './checkpoints.ts'
import { createGroupWriter, type ModelWrite } from './group-writer.ts'
import { createSpecLog } from './log.testing.ts'
import { streamsOf } from './market.testing.ts'
import type { Projection } from './projection.ts'
import { openModel } from './versions.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

let world: ReadWorld
let labels: string[]
let query: Query
beforeEach(async () => {
  world = await createReadWorld()
  labels = []
  query = (label, ...rest) => {
    labels.push(label)
    return world.database.query(label, ...rest)
  }
})
afterEach(() => world.close())

const named = (name: string): Projection => {
  const found = allProjections.find((projection) => projection.name === name)
  if (!found) throw new Error(name)
  return found
}

/** Opens read models on the empty log, and writes a whole rental into the log. Resolves to the step of each of them. */
const steps = async (names: readonly string[]): Promise<ModelWrite[]> => {
  const opened = []
  for (const name of names) opened.push(await openModel(world.database, named(name), world.store))
  const log = createSpecLog(world.store)
  for (const { name, id, events } of streamsOf({ number: 0, end: 'settled' }))
    for (const event of events) await log.write(name, id, event as never)
  const position = await world.store.head()
  return opened.map(({ target, state }) => ({ target, state, position, rows: 0, encoded: '[]' }))
}
const positionsOf = async (names: readonly string[]) =>
  new Map((await readCheckpoints(world.database.query, names)).map((found) => [found.projection, found.position]))

describe('read models that move at the same time', () => {
  test('are one statement, and each that was moved elsewhere finds that out alone', async () => {
    const names = ['rentals', 'accounts', 'listings']
    const all = await steps(names)
    const { write } = createGroupWriter({ query })
    const other = all.map((step, index) => (index === 1 ? { ...step, state: { ...step.state, retries: 7 } } : step))
    expect(await Promise.all(other.map(write))).toEqual([true, false, true])
    expect(labels).toEqual(['projections.writeTogether', 'projections.move'])
    const positions = await positionsOf(names)
    expect([positions.get('rentals'), positions.get('listings')]).toEqual([all[0]?.position, all[0]?.position])
    expect(positions.get('accounts')).toBe(world.store.start)
  })

  test('do not wait for one whose checkpoint is locked', async () => {
    const names = ['rentals', 'accounts']
    const [rentals, accounts] = await steps(names)
    if (!rentals || !accounts) throw new Error('two were opened')
    const { write } = createGroupWriter({ query })
    const locked = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const holding = world.database.transaction('spec.hold', async (inside) => {
      await inside('spec.lock', `select from read.checkpoints where projection = 'rentals' for update`)
      locked.resolve()
      await gate.promise
    })
    await locked.promise
    let isOver = false
    const late = write(rentals).finally(() => {
      isOver = true
    })
    expect(await write(accounts)).toBe(true)
    // The next ones are not held up either.
    expect(await write({ ...accounts, state: { ...accounts.state, position: accounts.position } })).toBe(true)
    expect(isOver).toBe(false)
    gate.resolve()
    await holding
    expect(await late).toBe(true)
  })

  test('are written alone where the rows of one are refused', async () => {
    const [rentals, accounts] = await steps(['rentals', 'accounts'])
    if (!rentals || !accounts) throw new Error('two were opened')
    const { write } = createGroupWriter({ query })
    const poison = { ...rentals, rows: 1, encoded: JSON.stringify([{ id: 'r', gpu_count: 'many' }]) }
    const [refused, written] = await Promise.allSettled([write(poison), write(accounts)])
    expect(refused.status).toBe('rejected')
    expect(written).toEqual({ status: 'fulfilled', value: true })
    expect(labels).toEqual(['projections.writeTogether', 'projections.move', 'projections.write'])
  })

  test('fail together where the database is gone, and nobody writes twice', async () => {
    const all = await steps(['rentals', 'accounts'])
    const { write } = createGroupWriter({
      query: async (label) => {
        labels.push(label)
        throw new Failure('DATABASE_UNAVAILABLE')
      },
    })
    const results = await Promise.allSettled(all.map(write))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(labels).toEqual(['projections.writeTogether'])
  })

  test('leave at most so many prepared statements with the server, whatever sets of them there were', async () => {
    const all = await steps(allProjections.map(({ name }) => name))
    const names: (string | undefined)[] = []
    const { write } = createGroupWriter({
      query: async (_label, _text, _values, options) => {
        names.push(options?.name)
        return all.map(({ target }) => ({ projection: target.projection.name })) as never
      },
    })
    for (let set = 1; set < 2 ** all.length; set++) {
      const group = all.map((step, index) => ({ ...step, rows: (set >> index) & 1 }))
      await Promise.all(group.map(write))
    }
    expect(names).toHaveLength(2 ** all.length - 1)
    expect(new Set(names.filter((name) => name !== undefined)).size).toBe(32)
  })
})

test('all read models of a process move with about one statement for each append', async () => {
  const statements: string[] = []
  const counted: Query = (label, ...rest) => {
    if (/^projections\.(write|move)/.test(label)) statements.push(label)
    return world.database.query(label, ...rest)
  }
  world.start({ database: { ...world.database, query: counted } })
  await world.caughtUp()
  statements.length = 0
  const log = createSpecLog(world.store)
  let events = 0
  for (const { name, id, events: all } of streamsOf({ number: 0, end: 'settled' }))
    for (const event of all) {
      await log.write(name, id, event as never)
      await world.caughtUp()
      events += 1
    }
  // Models that look up a row first may come a turn later; those that nothing concerns move now and then.
  const written = statements.filter((label) => label !== 'projections.move')
  expect(written.length).toBeLessThanOrEqual(1.5 * events)
  await eventually('all are at the end', async () => {
    const positions = await positionsOf(allProjections.map(({ name }) => name))
    const head = await world.store.head()
    return allProjections.every(({ name }) => positions.get(name) === head)
  })
})
