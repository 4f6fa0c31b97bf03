// What server, role and database may be set to: what works as if nothing were set, what is refused with the fix, and what
// is a warning.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure } from '../../domain/errors.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { leaveOut } from '../../testing/servers/left-out.ts'
import { findPgbouncer, startPgbouncer } from '../../testing/servers/pgbouncer.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { openEventStore } from '../event-store/open.ts'
import { checkDatabase, connectPostgres, migrateOperations } from '../postgres.ts'
import { createLog } from '../telemetry.ts'

let home: TestDatabase
beforeAll(async () => {
  home = await createTestDatabase()
})
afterAll(() => home.drop())

/** Runs a statement from another database: settings of a database count from the next connection on. */
const admin = async (statement: string): Promise<void> => {
  const database = connectPostgres({ url: process.env.TEST_DATABASE_URL ?? '', log: silentLog, poolSize: 1 })
  await database.query('test.admin', statement).finally(() => database.close())
}
const urlOf = (changes: (url: URL) => void = () => undefined): string => {
  const url = new URL(home.url)
  changes(url)
  return url.href
}
const waitMs = 300
const check = async (url: string) => {
  const warnings: string[] = []
  const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => warnings.push(JSON.parse(line).msg) })
  await checkDatabase({ url, log, waitMs })
  // The server of the specs is faster without.
  return warnings.filter((warning) => !warning.startsWith('fsync'))
}
const refusalOf = async (url: string): Promise<{ code: string } & Readonly<Record<string, string>>> => {
  const error = await check(url).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof Failure)) throw error
  return { code: error.code, ...error.details }
}
/** Runs `work` while the database is set so. */
const withSettings = async (settings: Readonly<Record<string, string>>, work: () => Promise<void>): Promise<void> => {
  for (const [name, value] of Object.entries(settings))
    await admin(`alter database ${home.name} set ${name} = '${value}'`)
  try {
    await work()
  } finally {
    await admin(`alter database ${home.name} reset all`)
  }
}

const metadata = {
  commandId: 'command',
  correlationId: 'correlation',
  causationId: 'causation',
  actor: 'spec',
  time: '2026-01-02T03:04:05.678Z',
  schemaVersion: 1,
}

/** Writes and reads the log in all ways, and values of each type. */
const useLog = async (url: string): Promise<void> => {
  const database = connectPostgres({ url, log: silentLog, poolSize: 4 })
  try {
    await migrateOperations(database)
    const store = await openEventStore({ database, eventStoreUrl: undefined, log: silentLog })
    const stream = `spec-${crypto.randomUUID()}`
    const data = { text: "o'neil \\ \u00e4 \u4f60", list: [null, 1.1, '2026-01-02'] }
    const event = () => ({ id: crypto.randomUUID(), type: 'Happened', data, metadata })
    for (const expected of ['no stream', 0n] as const) await store.append({ stream, expected, events: [event()] })
    const again = event()
    await store.append({ stream, expected: 1n, events: [again] })
    await store.append({ stream, expected: 1n, events: [again] })
    const read = []
    for await (const { data: found } of store.readStream(stream)) read.push(found)
    expect(read).toEqual([data, data, data])
    const all = []
    for await (const { stream: of, data: found } of store.readAll({})) if (of === stream) all.push(found)
    expect(all).toEqual([data, data, data])
    await store.close()
    expect(
      await database.query(
        'test.values',
        `select '2026-01-02T03:04:05.678Z'::timestamptz as moment, 0.1::float8 + 0.2 as sum, '\\x00ff'::bytea as bytes,
           '{1,null}'::int8[] as list, null = null as nothing`,
      ),
    ).toEqual([
      {
        moment: '2026-01-02T03:04:05.678Z',
        sum: 0.30000000000000004,
        bytes: Buffer.from([0, 255]),
        list: [1n, null],
        nothing: null,
      },
    ])
  } finally {
    await database.close()
  }
}

describe('works as if nothing were set', () => {
  const settings: readonly Readonly<Record<string, string>>[] = [
    { default_transaction_isolation: 'serializable' },
    { default_transaction_isolation: 'repeatable read' },
    { default_transaction_deferrable: 'on' },
    { DateStyle: 'SQL, DMY' },
    { DateStyle: 'German' },
    { DateStyle: 'Postgres, MDY' },
    { IntervalStyle: 'iso_8601' },
    { TimeZone: 'Asia/Kolkata' },
    { TimeZone: 'America/St_Johns' },
    { bytea_output: 'escape' },
    { extra_float_digits: '-15' },
    { array_nulls: 'off' },
    { transform_null_equals: 'on' },
    { standard_conforming_strings: 'off' },
    { synchronous_commit: 'off' },
    { statement_timeout: '20' },
    { lock_timeout: '1' },
    { idle_session_timeout: '50' },
    { idle_in_transaction_session_timeout: '50' },
    { search_path: 'nowhere' },
    { client_encoding: 'LATIN1' },
    { client_min_messages: 'debug5' },
    { lc_numeric: 'C.UTF-8' },
    { quote_all_identifiers: 'on' },
    { jit: 'on' },
    { enable_indexscan: 'off' },
    { work_mem: '64' },
    { xmloption: 'document' },
    { plan_cache_mode: 'force_generic_plan' },
  ]
  test.each(settings.map((setting) => [JSON.stringify(setting), setting] as const))('%s', async (_, setting) => {
    await withSettings(setting, async () => {
      expect(await check(urlOf())).toEqual([])
      await useLog(urlOf())
    })
  })
  test('all of them at once', async () => {
    await withSettings(Object.assign({}, ...settings), () => useLog(urlOf()))
  })
})

describe('is refused at once, with the fix', () => {
  test.each<[string, (url: URL) => void, string, string]>([
    ['a wrong password', (url) => (url.password = 'wrong'), 'password authentication failed', 'correct user'],
    ['no password', (url) => (url.password = ''), 'password', 'PGPASSWORD'],
    ['an unknown user', (url) => (url.username = 'nobody_here'), 'password authentication failed', 'correct user'],
    ['an absent database', (url) => (url.pathname = '/absent'), 'does not exist', 'create the database'],
    ['TLS where there is none', (url) => url.searchParams.set('sslmode', 'require'), 'SSL', 'sslmode'],
    ['a missing certificate', (url) => url.searchParams.set('sslrootcert', '/no/such.pem'), 'such.pem', 'correct'],
  ])('%s', async (_, change, why, fix) => {
    const refusal = await refusalOf(urlOf(change))
    expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', variable: 'DATABASE_URL' })
    expect(refusal.why).toContain(why)
    expect(refusal.fix).toContain(fix)
  })
  test('a database that is set to be read-only', () =>
    withSettings({ default_transaction_read_only: 'on' }, async () => {
      expect(await refusalOf(urlOf())).toMatchObject({ why: 'transactions are read-only here' })
    }))
  test('a user without rights', async () => {
    await admin(`revoke create on database ${home.name} from current_user`)
    try {
      expect(await refusalOf(urlOf())).toMatchObject({ why: 'the user may not make schemas in this database' })
    } finally {
      await admin(`grant create on database ${home.name} to current_user`)
    }
  })
  test('another encoding', async () => {
    const name = `latin_${process.pid}`
    await admin(`create database ${name} encoding 'SQL_ASCII' locale 'C' template template0`)
    try {
      expect(await refusalOf(urlOf((url) => (url.pathname = `/${name}`)))).toMatchObject({
        why: 'the database has the encoding SQL_ASCII',
      })
    } finally {
      await admin(`drop database ${name} with (force)`)
    }
  })
})

describe('where nothing answers, is given up after a while', () => {
  test.each<[string, (url: URL) => void]>([
    ['on a port', (url) => (url.port = '9')],
    ['on a socket', (url) => url.searchParams.set('host', '/no/such/folder')],
    ['on a host', (url) => (url.hostname = 'no-such-host.invalid')],
  ])('%s', async (_, change) => {
    expect(await refusalOf(urlOf(change))).toMatchObject({ code: 'DATABASE_UNREACHABLE' })
  })
})

test('few connections are a warning', async () => {
  await admin(`alter database ${home.name} connection limit 12`)
  try {
    expect(await check(urlOf())).toEqual([expect.stringContaining('allows 12 connections')])
  } finally {
    await admin(`alter database ${home.name} connection limit -1`)
  }
})

describe('behind PgBouncer', () => {
  const program = findPgbouncer()
  if (program === undefined) {
    leaveOut('PgBouncer', 'it is not installed: apt-get install pgbouncer')
    return
  }
  test('in session mode the log works', async () => {
    const pooler = await startPgbouncer(program, urlOf(), 'session')
    try {
      expect(await check(pooler.url)).toEqual([])
      await useLog(pooler.url)
    } finally {
      await pooler.close()
    }
  })
  test.each(['transaction', 'statement'] as const)('in %s mode it is refused, also beside others', async (mode) => {
    const pooler = await startPgbouncer(program, urlOf(), mode)
    const others = connectPostgres({ url: pooler.url, log: silentLog, poolSize: 4 })
    const controller = new AbortController()
    const busy = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!controller.signal.aborted) await others.query('test.busy', 'select pg_sleep(random() / 200)')
      }),
    )
    try {
      for (let round = 0; round < 5; round += 1) {
        const { code, fix } = await refusalOf(pooler.url)
        expect([code, fix]).toEqual(['CONFIG_INVALID', expect.stringContaining('session')])
      }
    } finally {
      controller.abort()
      await busy
      await others.close()
      await pooler.close()
    }
  })
})
