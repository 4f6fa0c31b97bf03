import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { integer, lookup, type Replay, replay, table, text } from '../../analysis/replay.ts'
import { bySecond, revenueByGpu } from '../../analysis/revenue-by-gpu.ts'
import type { Database } from '../../infra/postgres.ts'
import { createSpecLog } from '../../projections/engine/log.testing.ts'
import { type RentalScenario, writeRentals } from '../../projections/engine/market.testing.ts'
import { createReadWorld, type ReadWorld } from '../../projections/engine/world.testing.ts'
import { runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { type ReplayOptions, runReplay } from './run.ts'

const schema = 'replay_spec'
let world: ReadWorld
beforeEach(async () => {
  world = await createReadWorld()
  const scenarios = Array.from(
    { length: 12 },
    (_, number): RentalScenario => ({ number, end: number % 3 === 0 ? 'rejected' : 'settled' }),
  )
  await writeRentals(createSpecLog(world.store), scenarios, [])
})
afterEach(() => world.close())

const run = (of: Replay, options: Partial<ReplayOptions> = {}) =>
  runReplay({ replay: of, schema, period: {}, about: {}, ...world, signal: new AbortController().signal, ...options })
const rowsOf = <Row>(query: string) => world.database.query<Row>('spec', query)

/** Events by type. */
const counts = replay({
  tables: { counts: table({ key: { type: text() }, columns: { events: integer() } }) },
  fold: {
    RentalRequested: ({ counts }, { type }) => counts.set({ type, events: (counts.get({ type })?.events ?? 0n) + 1n }),
    RentalEnded: ({ counts }, { type }) => counts.set({ type, events: (counts.get({ type })?.events ?? 0n) + 1n }),
  },
})
const result = () => rowsOf(`select type, events from ${schema}.counts order by type`)
const counted = [
  { type: 'RentalEnded', events: 8n },
  { type: 'RentalRequested', events: 12n },
]
const schemas = async () =>
  (
    await rowsOf<{ name: string }>(`select nspname as name from pg_namespace where nspname like 'replay%' order by 1`)
  ).map(({ name }) => name)

/** Resolves to every row in the schemas of the platform. */
const platformContent = () =>
  rowsOf(`select t.table_schema, t.table_name, md5(query_to_xml(format('select * from %I.%I t order by t::text',
      t.table_schema, t.table_name), false, false, '')::text) as content
    from information_schema.tables t where t.table_schema in ('log', 'read', 'public', 'mine') order by 1, 2`)

describe('a replay changes no schema but its own', () => {
  test('a name that is not that of a replay is refused', async () => {
    await rowsOf('create schema mine create table kept (a int)')
    const before = await platformContent()
    const names = [
      'read',
      'log',
      'ops',
      'public',
      'jobs',
      'pg_catalog',
      'replay',
      'replay_x"; drop schema read',
      'mine',
    ]
    for (const name of names)
      await expect(run(counts, { schema: name })).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        details: { schema: name },
      })
    expect(await platformContent()).toEqual(before)
  })

  test('a schema that no replay has made stays unchanged, whatever its name', async () => {
    for (const name of [schema, `${schema}__building`, `${schema}__former`]) {
      await rowsOf(`create schema ${name} create table kept (a int)`)
      await expect(run(counts)).rejects.toMatchObject({ code: 'REPLAY_SCHEMA_FOREIGN', details: { schema: name } })
      expect(await rowsOf(`select * from ${name}.kept`)).toEqual([])
      expect(await schemas()).toEqual([name])
      await rowsOf(`drop schema ${name} cascade`)
    }
  })

  test('no statement names another schema, whatever an analyst writes into names, values and the file name', async () => {
    const spoken: string[] = []
    const overhear =
      (query: Database['query']): Database['query'] =>
      (label, statement, ...rest) => {
        if (!label.startsWith('eventStore.')) spoken.push(statement)
        return query(label, statement, ...rest)
      }
    const { database } = world
    const overheard: Database = {
      ...database,
      query: overhear(database.query),
      transaction: (label, work) => database.transaction(label, (query) => work(overhear(query))),
    }
    const malicious = `'; drop schema read cascade; -- "read"."rentals" \\`
    const nasty = replay({
      tables: {
        rentals: table({ key: { select: text() }, columns: { table: text() } }),
        known: lookup({ key: { id: text() }, columns: { from: text() } }),
      },
      fold: {
        RentalRequested: ({ rentals, known }, _, { id }) => {
          known.set({ id, from: malicious })
          rentals.set({ select: `${malicious}${id}`, table: malicious })
        },
      },
    })
    const before = await platformContent()
    await run(nasty, { database: overheard, about: { file: malicious }, rowsMax: 2, batchSize: 3 })
    expect(await platformContent()).toEqual(before)
    expect(
      await rowsOf(
        `select count(*) as rows from ${schema}.rentals where "table" = '${malicious.replaceAll("'", "''")}'`,
      ),
    ).toEqual([{ rows: 12n }])
    const [comment] = await rowsOf<{ about: string }>(`select obj_description('${schema}'::regnamespace) as about`)
    expect(JSON.parse(comment?.about.replace('NeuralMesh replay ', '') ?? '')).toMatchObject({
      file: malicious,
      events: 12,
    })

    const texts = spoken.map((statement) => statement.replaceAll(/'([^']|'')*'/g, "''"))
    expect(texts.length).toBeGreaterThan(10)
    const qualified = texts.flatMap((statement) =>
      [...statement.matchAll(/("?\w+"?)\.("?\w+"?)/g)].map(([, first]) => first),
    )
    expect([...new Set(qualified)].toSorted()).toEqual(
      ['"replay_spec"', '"replay_spec__building"', '"replay_spec__former"', 'c', 'excluded', 'k', 'n', 't'].filter(
        (name) => qualified.includes(name),
      ),
    )
    for (const statement of texts)
      expect(statement).toMatch(/"replay_spec|pg_namespace|pg_try_advisory_xact_lock|lock_timeout/)
  })
})

describe('the former result', () => {
  test('is replaced as a whole', async () => {
    await run(counts)
    expect(await result()).toEqual(counted)
    await run(revenueByGpu(bySecond))
    expect(await rowsOf(`select table_name from information_schema.tables where table_schema = '${schema}'`)).toEqual([
      { table_name: 'revenue' },
    ])
    await run(counts)
    expect(await result()).toEqual(counted)
    expect(await schemas()).toEqual([schema])
  })

  test('stays whole when a fold fails, and the error names the event', async () => {
    await run(counts)
    const failing = replay({
      tables: { counts: table({ key: { type: text() }, columns: {} }) },
      fold: {
        RentalEnded: ({ counts }, event, { id }) => {
          counts.set({ type: event.type })
          if (id === 'r4') throw new Error('this cannot be')
        },
      },
    })
    await expect(run(failing)).rejects.toMatchObject({
      code: 'REPLAY_FOLD_FAILED',
      details: {
        type: 'RentalEnded',
        stream: 'rental-r4',
        revision: '3',
        reason: 'this cannot be',
        at: expect.stringMatching(/^run\.int\.spec\.ts:\d+:\d+$/),
      },
    })
    expect(await result()).toEqual(counted)
    expect(await schemas()).toEqual([schema])
  })

  test('stays whole when the replay is killed, and the next one cleans up', async () => {
    await run(counts)
    const program = fileURLToPath(new URL('../../testing/programs/replay.ts', import.meta.url))
    const child = runChild(`await import(${JSON.stringify(program)})`, {
      env: { DATABASE_URL: world.url, SCHEMA: schema },
    })
    expect(await child.firstLine).toBe('built')
    await expect(run(counts)).rejects.toMatchObject({
      code: 'REPLAY_SCHEMA_IN_USE',
      details: { reason: 'another replay is building it' },
    })
    await child.kill()
    expect(await schemas()).toEqual([schema, `${schema}__building`])
    expect(await result()).toEqual(counted)
    await eventually('the database has noticed', () =>
      run(revenueByGpu(bySecond)).then(
        () => true,
        () => false,
      ),
    )
    expect(await schemas()).toEqual([schema])
    expect(await rowsOf(`select count(*) as rows from ${schema}.revenue`)).toEqual([{ rows: 1n }])
  })

  test.each([
    ['a view on it', `create view mine as select * from ${schema}.counts`, 'view mine depends on table'],
    ['a table beside it', `create table ${schema}.notes (a int)`, 'table replay_spec.notes depends on schema'],
  ])('is not removed while it is in use: %s', async (_what, statement, reason) => {
    await run(counts)
    await rowsOf(statement)
    await expect(run(revenueByGpu(bySecond))).rejects.toMatchObject({
      code: 'REPLAY_SCHEMA_IN_USE',
      details: { reason: expect.stringContaining(reason) },
    })
    expect(await result()).toEqual(counted)
  })

  test('can be read while it is replaced; it is then removed by the next replay', async () => {
    await run(counts)
    await world.database.transaction('spec', async (query) => {
      await query('spec', `select * from ${schema}.counts`)
      expect((await run(revenueByGpu(bySecond))).leftover).toContain('another session is reading it')
      expect(await schemas()).toEqual([schema, `${schema}__former`])
    })
    expect((await run(counts)).leftover).toBeUndefined()
    expect(await schemas()).toEqual([schema])
  }, 30_000)

  test('stays when the replay is stopped', async () => {
    await run(counts)
    const stop = new AbortController()
    const onProgress = () => stop.abort(new Error('enough'))
    await expect(run(revenueByGpu(bySecond), { signal: stop.signal, onProgress, batchSize: 5 })).rejects.toThrow(
      'enough',
    )
    expect(await result()).toEqual(counted)
    expect(await schemas()).toEqual([schema])
  })
})

test('rows that do not fit into memory fold to the same', async () => {
  const revenue = () => rowsOf(`select * from ${schema}.revenue order by gpu, hour`)
  await run(revenueByGpu(bySecond))
  const whole = await revenue()
  await run(revenueByGpu(bySecond), { rowsMax: 1, batchSize: 7 })
  expect(await revenue()).toEqual(whole)
  expect(whole).toMatchObject([{ gpu: 'H100', gpu_seconds: 4_800n, charged: '4.800000' }])
})

test('a position of another log is refused before anything is created', async () => {
  await expect(run(counts, { period: { to: 'pg-other-00000000000000000001' } })).rejects.toMatchObject({
    code: 'POSITION_FOREIGN',
  })
  expect(await schemas()).toEqual([])
})

describe('a period that ends at a moment', () => {
  test.each(['to', 'asOf'] as const)(
    'before the log begins (%s) has no event, and tells when history begins',
    async (name) => {
      const [first] = await Array.fromAsync(world.store.readAll({ limit: 1 }))
      const ended = await run(counts, { period: { [name]: '2001-01-01' } })
      expect(ended).toMatchObject({ events: 0, position: world.store.start, begins: first?.metadata.time })
    },
  )

  test('has the position as of then', async () => {
    const all = await Array.fromAsync(world.store.readAll())
    const middle = all[Math.floor(all.length / 2)]?.metadata.time ?? ''
    const known = all.filter(({ metadata }) => metadata.time <= middle)
    const ended = await run(counts, { period: { asOf: middle } })
    expect(ended.begins).toBeUndefined()
    expect(known.map(({ position }) => String(position))).toContain(ended.position)
    expect(String(all.at(-1)?.position) > ended.position).toBe(true)
  })
})
