import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Database } from '../../infra/postgres.ts'
import { sqlStateClasses } from '../../infra/system/database-errors.ts'
import { createLog } from '../../infra/telemetry.ts'
import { eventually } from '../../testing/eventually.ts'
import type { ProviderRow } from '../providers.table.ts'
import { providers } from '../providers.ts'
import { createSpecLog, register, type SpecLog } from './log.testing.ts'
import type { Projection } from './projection.ts'
import type { Projections } from './start.ts'
import { compareWithRebuild } from './verify.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

/** The database refuses each row whose name is "!" and a SQLSTATE with that SQLSTATE, as long as this is on. */
const TRIGGER = `create function read.refuse() returns trigger language plpgsql as $$ begin
    if new.name like '!%' then raise exception 'refused by the spec' using errcode = substr(new.name, 2); end if;
    return new;
  end $$;
  create trigger refuse before insert or update on read.providers for each row execute function read.refuse()`
const CURE = 'drop trigger refuse on read.providers'

let world: ReadWorld
let log: SpecLog
beforeEach(async () => {
  world = await createReadWorld()
  log = createSpecLog(world.store)
  // Once it was begun on an empty log, the live table is written: the table of a build would have no trigger.
  const first = start()
  await first.waitFor(world.store.start, 15_000)
  await first.close()
  await world.database.query('spec.trigger', TRIGGER)
})
afterEach(() => world.close())

const rename = (name: string) => ({ type: 'ProviderRenamed', name }) as const
const start = (options: Parameters<ReadWorld['start']>[0] = {}) => world.start({ projections: [providers], ...options })
const statusOf = async (projections: Projections) => (await projections.status()).projections[0]
const parkedStreams = async () =>
  (await world.database.query<{ stream: string }>('spec.parked', 'select stream from read.parked_streams')).map(
    ({ stream }) => stream,
  )
const namesById = async () => {
  const rows = await world.database.query<{ id: string; name: string }>(
    'spec.rows',
    'select id, name from read.providers',
  )
  return Object.fromEntries(rows.map(({ id, name }) => [id, name]))
}
/** Returns the database, and the labels of the transactions on it. */
const counted = (): { database: Database; transactions: string[] } => {
  const transactions: string[] = []
  const transaction: Database['transaction'] = (label, work) => {
    transactions.push(label)
    return world.database.transaction(label, work)
  }
  return { database: { ...world.database, transaction }, transactions }
}

const wholeCode = (key: string) => (key.length === 5 ? key : `${key}001`)

describe('by the class of its error, a batch with one refused row', () => {
  const withClass = (wanted: string) =>
    [...sqlStateClasses].flatMap(([key, kind]) => (kind === wanted ? [wholeCode(key)] : []))
  const writePoisoned = async (code: string) => {
    for (const id of ['a', 'b', 'c']) await log.write('provider', id, register(id))
    await log.write('provider', 'b', rename('Before'))
    await log.write('provider', 'b', rename(`!${code}`))
    return log.write('provider', 'c', rename('Last'))
  }
  const nameOfB = { a: 'Acme', b: 'Before', c: 'Last' }

  test.each(withClass('value'))('%s: parks that stream', async (code) => {
    await start().waitFor(await writePoisoned(code), 15_000)
    expect([await parkedStreams(), await namesById()]).toEqual([['provider-b'], nameOfB])
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
  })

  test.each(withClass('overload'))('%s: parks that stream once it was tried alone', async (code) => {
    await start().waitFor(await writePoisoned(code), 60_000)
    expect([await parkedStreams(), await namesById()]).toEqual([['provider-b'], nameOfB])
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
  })

  test.each([
    ...withClass('outage').map((code) => [code, 'DATABASE_UNAVAILABLE'] as const),
    ['53100', 'DATABASE_FULL'] as const,
    ...[...withClass('defect'), '42P01', '42501', 'XX002'].map((code) => [code, 'READ_MODEL_DEFECTIVE'] as const),
  ])('%s: waits with %s, parks nothing, and goes on afterwards', async (sqlState, code) => {
    const lines: string[] = []
    const head = await writePoisoned(sqlState)
    const level = code === 'READ_MODEL_DEFECTIVE' ? 'error' : 'warn'
    const runner = start({ log: createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) }) })
    await eventually('it waits', async () => (await statusOf(runner))?.failure?.code === code)
    await expect(runner.waitFor(head, 300)).rejects.toMatchObject({ code: 'POSITION_NOT_REACHED' })
    expect(await parkedStreams()).toEqual([])
    expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ level, code, projection: 'providers' })
    await world.database.query('spec.cure', CURE)
    await runner.waitFor(head, 15_000)
    expect([await parkedStreams(), (await namesById()).b]).toEqual([[], `!${sqlState}`])
  })
})

describe('any mix of poison', () => {
  const event = fc.record({
    stream: fc.nat(7),
    name: fc.constantFrom('fine', 'fine', 'fine', '!22003', '!54000', '!57014', 'unfoldable'),
  })
  const mix = fc.record({
    events: fc.array(event, { minLength: 1, maxLength: 40 }),
    batchSize: fc.constantFrom(1, 3, 500),
  })
  const picky: Projection<ProviderRow> = {
    ...providers,
    fold: (row, one, metadata, key) => {
      if (one.type === 'ProviderRenamed' && one.name === 'unfoldable') throw new Error('no name')
      return providers.fold(row, one, metadata, key)
    },
  }

  test('parks the poisoned streams alone, and every row is as of the event before', async () => {
    let round = 0
    await fc.assert(
      fc.asyncProperty(mix, async ({ events, batchSize }) => {
        round += 1
        const idOf = (stream: number) => `r${round}-${stream}`
        const last = new Map<string, string>()
        for (let stream = 0; stream < 8; stream++) await log.write('provider', idOf(stream), register('p'))
        for (const { stream, name } of events) {
          await log.write('provider', idOf(stream), rename(name))
          last.set(idOf(stream), name)
        }
        const runner = start({ projections: [picky], batchSize })
        await runner.waitFor(await world.store.head(), 60_000)
        await runner.close()
        expect(await compareWithRebuild({ ...world, projections: [picky] })).toEqual([])
        const parked = await parkedStreams()
        const poisoned = new Set(events.flatMap(({ stream, name }) => (name === 'fine' ? [] : [idOf(stream)])))
        const own = parked.flatMap((stream) => (stream.startsWith(`provider-r${round}-`) ? [stream.slice(9)] : []))
        expect(own.filter((id) => !poisoned.has(id))).toEqual([])
        for (const [id, name] of last) if (name !== 'fine') expect(own).toContain(id)
      }),
      { numRuns: 12 },
    )
  }, 180_000)

  test('1,500 refused streams cost a few transactions, now and at the next start', async () => {
    for (let number = 0; number < 1_500; number++) await log.write('provider', `bad-${number}`, register('p'))
    for (let number = 0; number < 1_500; number++) await log.write('provider', `bad-${number}`, rename('!22003'))
    const head = await log.write('provider', 'good', register('p'))
    const { database, transactions } = counted()
    const runner = start({ database })
    await runner.waitFor(head, 60_000)
    expect(await parkedStreams()).toHaveLength(1_500)
    expect(transactions.length).toBeLessThan(40)
    await runner.close()

    const tried = Promise.withResolvers<void>()
    const stuck: Database['transaction'] = async (label, work) => {
      if (label === 'projections.tryParked') await tried.promise
      return world.database.transaction(label, work)
    }
    const again = start({ database: { ...world.database, transaction: stuck } })
    await again.waitFor(await log.write('provider', 'good', rename('Late')), 5_000)
    tried.resolve()
    await again.close()
    expect(await parkedStreams()).toHaveLength(1_500)
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
  }, 180_000)

  test('what is refused no more is folded in the background, after the next start', async () => {
    for (let number = 0; number < 120; number++) await log.write('provider', `p-${number}`, register('p'))
    for (let number = 0; number < 120; number++) await log.write('provider', `p-${number}`, rename('!22003'))
    const runner = start()
    await runner.waitFor(await world.store.head(), 15_000)
    await runner.waitFor(await log.write('provider', 'p-7', rename('More')), 15_000)
    expect(await parkedStreams()).toHaveLength(120)
    await runner.close()
    await world.database.query('spec.cure', CURE)
    start()
    await eventually('nothing is parked', async () => (await parkedStreams()).length === 0)
    expect((await namesById())['p-7']).toBe('More')
    expect(await compareWithRebuild({ ...world, projections: [providers] })).toEqual([])
  })
})

describe('a fold that throws on every stream of a batch', () => {
  const brokenFor = (type: string): Projection<ProviderRow> => ({
    ...providers,
    fold: (row, event, metadata, key) => {
      if (event.type === type) throw new TypeError('a defect')
      return providers.fold(row, event, metadata, key)
    },
  })

  test.each([
    ['ProviderRegistered', 500],
    ['ProviderRenamed', 20],
  ])('%s: the model stands still, parks nothing, and a corrected program goes on', async (type, batchSize) => {
    for (let number = 0; number < 20; number++) await log.write('provider', `p-${number}`, register('p'))
    for (let number = 0; number < 20; number++) await log.write('provider', `p-${number}`, rename(`No ${number}`))
    const runner = start({ projections: [brokenFor(type)], batchSize })
    await eventually('it stands still', async () => (await statusOf(runner))?.failure?.code === 'READ_MODEL_DEFECTIVE')
    expect(await parkedStreams()).toEqual([])
    await runner.close()
    await start().waitFor(await world.store.head(), 15_000)
    expect((await namesById())['p-19']).toBe('No 19')
  })

  test('is no defect when such events of other streams fold: then the batch was poison', async () => {
    await log.write('provider', 'good', register('p'))
    await log.write('provider', 'good', rename('Apex'))
    for (let number = 0; number < 600; number++) await log.write('provider', `ghost-${number}`, rename('Nobody'))
    const head = await log.write('provider', 'good', rename('Zenith'))
    await start({ batchSize: 50 }).waitFor(head, 30_000)
    expect(await parkedStreams()).toHaveLength(600)
    expect((await namesById()).good).toBe('Zenith')
  })
})
