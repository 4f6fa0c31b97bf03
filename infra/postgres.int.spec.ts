import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { eventually } from '../testing/eventually.ts'
import { createTestDatabase, endOtherConnections, type TestDatabase } from '../testing/servers/database.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { connectPostgres, type Database, openPool } from './postgres.ts'
import { createLog, createMetrics, type Metrics } from './telemetry.ts'

let home: TestDatabase
let database: Database
let metrics: Metrics
let lines: Record<string, unknown>[]

/** What the slow statement of a test exceeds. */
const slowQueryMs = 200

beforeAll(async () => {
  home = await createTestDatabase()
})
afterAll(() => home.drop())
beforeEach(async () => {
  lines = []
  metrics = createMetrics()
  const log = createLog({ level: 'debug', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) })
  database = home.connect({ log, metrics, poolSize: 3, slowQueryMs })
  await database.query('test.create', 'create table notes (id int primary key, text text)')
})
afterEach(async () => {
  await database.query('test.drop', 'drop table notes')
  await database.close()
})

const notes = () => database.query<{ id: number; text: string }>('test.notes', 'select * from notes order by id')
const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const error = await work.then(
    () => new Error('it worked'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}
const cutOthers = (other: Database) => other.query('test.cut', endOtherConnections)

describe('values', () => {
  test('are returned exactly', async () => {
    await database.query('test.zone', "set timezone = 'Asia/Kolkata'")
    const [row] = await database.query(
      'test.types',
      `select 9223372036854775807::int8 as big, 7 as small, 123456789012345678901234567890.5::numeric as exact,
              '2026-01-02T03:04:05.678Z'::timestamptz as moment, 'infinity'::timestamptz as never,
              '2026-01-02'::date as day, '{"a":[1,"x"]}'::jsonb as json, '\\x00ff'::bytea as bytes,
              array[1::int8, null] as bigs, array['2026-01-02T03:04:05Z'::timestamptz] as moments, array[0.10] as exacts,
              null::int8 as nothing`,
    )
    expect(row).toEqual({
      big: 9223372036854775807n,
      small: 7,
      exact: '123456789012345678901234567890.5',
      moment: '2026-01-02T03:04:05.678Z',
      never: 'infinity',
      day: '2026-01-02',
      json: { a: [1, 'x'] },
      bytes: Buffer.from([0, 255]),
      bigs: [1n, null],
      moments: ['2026-01-02T03:04:05.000Z'],
      exacts: ['0.10'],
      nothing: null,
    })
  })

  test('are sent as bigint, text, array and bytes', async () => {
    const rows = await database.query(
      'test.values',
      'select $1::int8 as big, $2::text as text, $3::int8[] as bigs, $4::bytea as bytes',
      [2n ** 62n, "o'neil", [1n, 2n], Buffer.from('x')],
    )
    expect(rows).toEqual([{ big: 2n ** 62n, text: "o'neil", bigs: [1n, 2n], bytes: Buffer.from('x') }])
  })

  test('are returned as arrays on request, prepared or not', async () => {
    const ask = () =>
      database.query<[number, string]>('test.arrays', 'select 1, $1::text', ['a'], { rowMode: 'array', name: 'arrays' })
    expect([await ask(), await ask()]).toEqual([[[1, 'a']], [[1, 'a']]])
  })
})

test('an error of the statement itself is thrown unchanged, with its SQLSTATE', async () => {
  await database.query('test.insert', 'insert into notes values (1)')
  await expect(database.query('test.insert', 'insert into notes values (1)')).rejects.toMatchObject({ code: '23505' })
})

describe('a transaction', () => {
  test('commits, and resolves to the answer', async () => {
    const answer = await database.transaction('test.work', async (query) => {
      await query('test.insert', "insert into notes values (1, 'one')")
      expect(await notes()).toEqual([])
      return 'done'
    })
    expect([answer, await notes()]).toEqual(['done', [{ id: 1, text: 'one' }]])
  })

  test('rolls back and throws the same error', async () => {
    const boom = new Error('boom')
    const work = database.transaction('test.work', async (query) => {
      await query('test.insert', 'insert into notes values (1)')
      throw boom
    })
    await expect(work).rejects.toBe(boom)
    expect(await notes()).toEqual([])
  })

  test('does not claim to have committed when a failed statement was overlooked', async () => {
    const work = database.transaction('test.work', async (query) => {
      await query('test.insert', 'insert into notes values (1)')
      await query('test.insert', 'insert into notes values (1)').catch(() => undefined)
    })
    await expect(work).rejects.toThrow('rolled back')
    expect(await notes()).toEqual([])
  })

  test('whose connection breaks is a failure, and the next one works', async () => {
    const failure = await failureOf(
      database.transaction('test.work', async (query) => {
        await query('test.insert', 'insert into notes values (1)')
        await cutOthers(database)
        await query('test.insert', 'insert into notes values (2)')
      }),
    )
    expect([failure.code, failure.details.sent]).toEqual(['DATABASE_UNAVAILABLE', 'perhaps'])
    expect(failure.cause).toBeInstanceOf(Error)
    expect(await notes()).toEqual([])
  })
})

describe('when the connection breaks', () => {
  test('idle ones are logged and replaced', async () => {
    const other = home.connect({ poolSize: 1 })
    await cutOthers(other)
    await eventually('the broken connection to be noticed', () =>
      lines.some(({ msg }) => msg === 'an idle connection broke'),
    )
    expect(await database.query('test.one', 'select 1 as one')).toEqual([{ one: 1 }])
    await other.close()
  })

  test('a write in flight fails at once and is not repeated; a read is', async () => {
    const other = home.connect({ poolSize: 1 })
    const cutWhenSleeping = async () => {
      await eventually('a sleeping statement', async () => {
        const found = await other.query(
          'test.look',
          "select 1 from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid() and state = 'active'",
        )
        return found.length > 0
      })
      await cutOthers(other)
    }
    const write = failureOf(database.query('test.write', 'insert into notes select 1, pg_sleep(60)::text'))
    await cutWhenSleeping()
    const failure = await write
    expect([failure.code, failure.details.sent]).toEqual(['DATABASE_UNAVAILABLE', 'perhaps'])

    const read = database.query('test.read', 'select pg_sleep(1), 1 as one', [], { retry: true })
    await cutWhenSleeping()
    expect(await read).toMatchObject([{ one: 1 }])
    await other.close()
  })
})

describe('when no server answers', () => {
  const nowhere = 'postgres://user:hidden-word@127.0.0.1:1/x'

  test('the failure of a statement shows that it was not sent, without the password', async () => {
    const away = connectPostgres({ url: nowhere, log: silentLog, poolSize: 1 })
    const failure = await failureOf(away.query('test.one', 'select 1'))
    expect([failure.code, failure.details.sent]).toEqual(['DATABASE_UNAVAILABLE', 'no'])
    expect(failure.message).not.toContain('hidden-word')
    await away.close()
  })

  test('waiting has an end, and closing ends it at once', async () => {
    const away = connectPostgres({ url: nowhere, log: silentLog, poolSize: 1 })
    expect((await failureOf(away.waitUntilReady(100))).code).toBe('DATABASE_UNAVAILABLE')
    const waiting = failureOf(away.waitUntilReady(600_000))
    const listening = away.listen('x', () => undefined)
    await away.close()
    expect((await waiting).code).toBe('DATABASE_UNAVAILABLE')
    await listening
  })

  test('a wrong password is not waited for', async () => {
    const url = new URL(home.url)
    url.password = 'wrong'
    const unauthorised = connectPostgres({ url: url.href, log: silentLog, poolSize: 1 })
    const failure = await failureOf(unauthorised.waitUntilReady(600_000))
    expect([failure.code, failure.details.reason]).toEqual([
      'DATABASE_UNAVAILABLE',
      expect.stringContaining('password authentication failed'),
    ])
    await unauthorised.close()
  })
})

describe('listening', () => {
  test('receives payloads in order, and an empty one when it listens again after a break', async () => {
    const payloads: string[] = []
    const listener = await database.listen('Odd channel "x"', (payload) => payloads.push(payload))
    expect(payloads).toEqual([''])
    const notify = (payload: string) =>
      database.query('test.notify', 'select pg_notify($1, $2)', ['Odd channel "x"', payload])
    await notify('one')
    await notify('two')
    await eventually('both payloads', () => payloads.length === 3)
    const other = home.connect({ poolSize: 1 })
    await cutOthers(other)
    await eventually('listening again', () => payloads.length === 4)
    await notify('three')
    await eventually('the third payload', () => payloads.length === 5)
    expect(payloads).toEqual(['', 'one', 'two', '', 'three'])
    await listener.close()
    const left = await other.query(
      'test.listeners',
      "select 1 from pg_stat_activity where datname = current_database() and query like 'listen%'",
    )
    expect(left).toEqual([])
    await other.close()
  })

  test('outlives a listener that throws', async () => {
    const payloads: string[] = []
    await database.listen('noise', (payload) => {
      payloads.push(payload)
      throw new Error('boom')
    })
    await database.query('test.notify', "notify noise, 'x'")
    await eventually('the payload', () => payloads.includes('x'))
    expect(lines.filter(({ msg }) => msg === 'a notification was not handled')).toHaveLength(2)
  })
})

describe('metrics and log', () => {
  test('durations by label and outcome', async () => {
    await database.query('test.good', 'select 1')
    await database.query('test.bad', 'select nothing').catch(() => undefined)
    const text = await metrics.metrics()
    expect(text).toContain('database_query_seconds_count{label="test.good",outcome="done"} 1')
    expect(text).toContain('database_query_seconds_count{label="test.bad",outcome="failed"} 1')
  })

  test('a line for a slow statement, and only for it', async () => {
    await database.query('test.fast', 'select 1')
    await database.query('test.slow', 'select pg_sleep(0.25)')
    const slow = lines.filter(({ msg }) => msg === 'slow query')
    expect(slow.filter(({ label }) => label === 'test.slow')).toMatchObject([{ part: 'database' }])
    // On a busy machine others may be slow too.
    expect(slow.filter(({ ms }) => Number(ms) < slowQueryMs)).toEqual([])
  })
})

test('a connection of a bare pool that is released twice is released once', async () => {
  const pool = openPool({ url: home.url, log: silentLog, poolSize: 1 })
  const given = Promise.withResolvers<void>()
  pool.connect((_, client, release) => {
    release()
    expect(release).not.toThrow()
    expect(client).toBeDefined()
    given.resolve()
  })
  await given.promise
  expect([pool.totalCount, pool.idleCount]).toEqual([1, 1])
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})
