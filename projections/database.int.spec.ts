import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, endOtherConnections, type TestDatabase } from '../testing/servers/database.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { allProjections } from './all.ts'
import { openReadModels, type ReadModels } from './database.ts'
import { migrations } from './migrations/all.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

const open = () => openReadModels({ url: database.url, log: silentLog, projections: allProjections })
const checkpoints = (read: ReadModels) =>
  read.run('spec.checkpoints', (db) => db.selectFrom('Checkpoint').selectAll().execute())

test('several processes may migrate at once: one does it, once', async () => {
  const opened = await Promise.all([open(), open(), open()])
  const executed = await opened[0].orm.migrator.getExecuted()
  expect(executed.map(({ name }) => name)).toEqual(migrations.map(({ name }) => name))
  expect(await Promise.all(opened.map(checkpoints))).toEqual([[], [], []])
  for (const read of opened) await read.close()
})

test('the migrations create exactly the tables of the code', async () => {
  const read = await open()
  expect(await read.orm.schema.getUpdateSchemaSQL({ wrap: false, safe: false })).toBe('')
  await read.close()
})

test('a schema of a newer version is refused by name', async () => {
  const read = await open()
  await read.orm.migrator.logMigration('2999-01-01-from-the-future')
  await read.close()
  await expect(open()).rejects.toMatchObject({
    code: 'DATABASE_SCHEMA_NEWER',
    details: { migration: '2999-01-01-from-the-future' },
  })
})

test('an unreachable database is reported as unavailable', () =>
  expect(
    openReadModels({ url: 'postgres://postgres@127.0.0.1:1/none', log: silentLog, projections: allProjections }),
  ).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
  }))

test('a read survives the loss of its connections', async () => {
  const read = await open()
  const other = database.connect({ poolSize: 1 })
  await checkpoints(read)
  await other.query('spec.terminate', endOtherConnections)
  expect(await checkpoints(read)).toEqual([])
  await other.close()
  await read.close()
})
