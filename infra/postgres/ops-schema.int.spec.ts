import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../testing/servers/database.ts'
import type { Database } from '../postgres.ts'
import { migrateOperations } from './ops-schema.ts'

let testDatabase: TestDatabase
let database: Database
beforeEach(async () => {
  testDatabase = await createTestDatabase()
  database = testDatabase.connect({ poolSize: 8 })
})
afterEach(() => testDatabase.drop())

const shape = async () => {
  const columns = `select table_name || '.' || column_name || ' ' || data_type as shape
    from information_schema.columns where table_schema = 'ops' order by 1`
  return (await database.query<{ shape: string }>('spec.columns', columns)).map((row) => row.shape)
}
const versions = () => database.query<{ version: number }>('spec.version', 'select version from ops.version')

test('an empty database gets the tables, and a second start changes nothing', async () => {
  await migrateOperations(database)
  const made = await shape()
  expect(made).toEqual([
    'consumers.name text',
    'consumers.position text',
    'cursors.block numeric',
    'cursors.chain text',
    'cursors.custody_block numeric',
    'cursors.custody_checked_at timestamp with time zone',
    'cursors.custody_contract numeric',
    'cursors.custody_ledger numeric',
    'cursors.hash text',
    'cursors.name text',
    'heartbeat_spans.ahead_ms bigint',
    'heartbeat_spans.beaten_ms bigint',
    'heartbeat_spans.clock text',
    'heartbeat_spans.number bigint',
    'heartbeat_spans.since timestamp with time zone',
    'heartbeat_spans.until timestamp with time zone',
    'heartbeats.acknowledged_ms bigint',
    'heartbeats.last_beat_at timestamp with time zone',
    'heartbeats.rental text',
    'latest_event.event_id text',
    'latest_event.only_row boolean',
    'latest_event.position text',
    'latest_event.revision bigint',
    'latest_event.saved_at timestamp with time zone',
    'latest_event.stream text',
    'rescans.cursor_name text',
    'rescans.done_at timestamp with time zone',
    'rescans.from_block numeric',
    'rescans.id bigint',
    'rescans.next_block numeric',
    'rescans.recovered bigint',
    'rescans.requested_at timestamp with time zone',
    'rescans.requested_by text',
    'rescans.to_block numeric',
    'task_decisions.attempts integer',
    'task_decisions.decided_at timestamp with time zone',
    'task_decisions.decided_by text',
    'task_decisions.decision text',
    'task_decisions.error text',
    'task_decisions.id bigint',
    'task_decisions.key text',
    'task_decisions.payload text',
    'task_decisions.reason text',
    'task_decisions.since timestamp with time zone',
    'task_decisions.task text',
    'used_nonces.expires_at timestamp with time zone',
    'used_nonces.nonce text',
    'version.version integer',
  ])
  await database.query('spec.fill', `insert into ops.consumers values ('kept', 'here')`)
  await migrateOperations(database)
  expect(await shape()).toEqual(made)
  expect(await database.query('spec.kept', 'select * from ops.consumers')).toEqual([{ name: 'kept', position: 'here' }])
})

test('many processes that start at once make them once', async () => {
  await Promise.all(Array.from({ length: 8 }, () => migrateOperations(database)))
  expect(await versions()).toHaveLength(1)
})

test('a database of an earlier version is brought up to this one', async () => {
  await migrateOperations(database)
  const [before] = await versions()
  await database.query('spec.back', 'drop table ops.latest_event')
  await database.query('spec.back', 'drop table ops.rescans')
  await database.query('spec.back', 'drop table ops.cursors')
  await database.query('spec.back', 'create table ops.cursors (name text primary key, block numeric(39, 0) not null)')
  await database.query('spec.back', 'drop table ops.heartbeat_spans')
  const spans = 'create table ops.heartbeat_spans (since timestamptz primary key, until timestamptz not null)'
  await database.query('spec.back', spans)
  const [later, earlier] = ['2026-01-02T00:00:00.000Z', '2026-01-01T00:00:00.000Z']
  const fill = 'insert into ops.heartbeat_spans values ($1, $1), ($2, $2)'
  await database.query('spec.back', fill, [later, earlier])
  await database.query('spec.back', 'update ops.version set version = version - 3')
  await migrateOperations(database)
  expect(await shape()).toContain('rescans.id bigint')
  expect(await versions()).toEqual([before])
  await database.query('spec.next', 'insert into ops.heartbeat_spans (since, until) values ($1, $1)', [earlier])
  expect(await database.query('spec.spans', 'select number, since from ops.heartbeat_spans order by number')).toEqual([
    { number: 1n, since: earlier },
    { number: 2n, since: later },
    { number: 3n, since: earlier },
  ])
})

test('a migration that fails leaves all as it was', async () => {
  await migrateOperations(database)
  await database.query('spec.back', 'update ops.version set version = version - 1')
  const before = [await versions(), await shape()]
  await expect(migrateOperations(database)).rejects.toMatchObject({ code: '42701' })
  expect([await versions(), await shape()]).toEqual(before)
})

test('a database of a newer version is refused by name, and left as it is', async () => {
  await migrateOperations(database)
  const [known] = await versions()
  await database.query('spec.newer', 'update ops.version set version = 99')
  await expect(migrateOperations(database)).rejects.toMatchObject({
    code: 'DATABASE_SCHEMA_NEWER',
    details: { schema: 'ops', found: '99', known: String(known?.version) },
  })
  expect(await versions()).toEqual([{ version: 99 }])
})
