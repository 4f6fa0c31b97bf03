import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually } from '../../testing/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { sleep } from '../async/sleep.ts'
import { type Database, openPool } from '../postgres.ts'

let home: TestDatabase
let database: Database

beforeAll(async () => {
  home = await createTestDatabase()
  database = home.connect()
  await database.query('test.table', 'create table parked (id int primary key)')
  await database.query('test.row', 'insert into parked values (1)')
})
afterAll(() => home.drop())

const SHOW = `select current_setting('idle_in_transaction_session_timeout') as limit`

test('no connection may idle in a transaction for more than half a minute, whoever opened it', async () => {
  expect(await database.transaction('test.show', (query) => query('test.show', SHOW))).toEqual([{ limit: '30s' }])
  const pool = openPool({ url: home.url, log: silentLog, poolSize: 1 })
  expect((await pool.query(SHOW)).rows).toEqual([{ limit: '30s' }])
  await pool.end()
})

test('a process that is stopped inside a transaction loses it with its locks, and others go on', async () => {
  let isHeld = false
  const stopped = database.transaction('test.stopped', async (query) => {
    await query('test.limit', `select set_config('idle_in_transaction_session_timeout', '300', true)`)
    await query('test.hold', 'select * from parked where id = 1 for update')
    isHeld = true
    // As long as a process that was stopped would be away.
    await sleep(1_000)
    await query('test.write', 'delete from parked')
  })
  const refused = expect(stopped).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  await eventually('the row to be held', () => isHeld)
  const beganMs = performance.now()
  await database.query('test.other', 'update parked set id = 2 where id = 1')
  expect(performance.now() - beganMs).toBeLessThan(900)
  await refused
  expect(await database.query('test.rows', 'select id from parked')).toEqual([{ id: 2 }])
})
