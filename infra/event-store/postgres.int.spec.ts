import { afterAll, describe, expect, test } from '@jest/globals'
import { codeThrownBy, collect, eventStoreContract, newEvent, newEvents, newStream, to } from './contract.ts'
import { createSpecDatabase, type SpecDatabase } from './postgres/database.testing.ts'
import { migrateEventStore } from './postgres/schema.ts'
import { useStoreFixture } from './postgres/store.testing.ts'
import { openPostgresEventStore, postgresCapabilities } from './postgres.ts'

const databases: SpecDatabase[] = []
const newDatabase = async () => {
  const created = await createSpecDatabase()
  databases.push(created)
  return created
}
const first = (): SpecDatabase => {
  const [created] = databases
  if (!created) throw new Error('The first store opens before the others.')
  return created
}
const openOn = (specDatabase: SpecDatabase) => openPostgresEventStore({ database: specDatabase.open() })

eventStoreContract({
  capabilities: postgresCapabilities,
  open: async () => openOn(await newDatabase()),
  openEmpty: async () => openOn(await newDatabase()),
  reopen: () => openOn(first()),
  openCuttable: async () => {
    const database = first().open()
    const store = await openPostgresEventStore({ database })
    return { store, cutNext: () => database.loseResponseTo('eventStore.append'), cuts: database.lostCount }
  },
  openFaulty: async () => {
    const database = first().open()
    const store = await openPostgresEventStore({ database, pollMs: 20 })
    return { store, faults: ['57014', '53200', '40001', '42501', '42P01', 'XX000'], fail: database.failReads }
  },
})

afterAll(async () => {
  for (const created of databases) await created.drop()
})

describe('event store on Postgres', () => {
  const fixture = useStoreFixture()

  test.each([
    [64, 1],
    [300, 2],
  ])('%i concurrent appends share a few commits: %i', async (count, commits) => {
    const store = await fixture.openStore({ database: fixture.database })
    const answers = await Promise.all(
      newEvents(count).map((event) => store.append(to(newStream(), 'no stream', event))),
    )
    expect(new Set(answers.map((answer) => 'position' in answer && answer.position)).size).toBe(count)
    expect(fixture.database.queryCounts.get('eventStore.append')).toBe(commits)
  })

  test('an append that the database refuses does not make the others of its batch fail', async () => {
    const store = await fixture.openStore({ database: fixture.database })
    const admin = await fixture.specDatabase.connect()
    await admin.query(`alter table log.events add constraint poison check (type <> 'Poison')`)
    const types = ['Fine', 'Poison', 'Fine', 'Fine']
    const answers = await Promise.allSettled(types.map((type) => store.append(to(newStream(), 'any', newEvent(type)))))
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(await collect(store.readAll())).toHaveLength(3)
  })

  test.each([
    ['UPDATE', `update log.events set type = 'Else'`],
    ['UPDATE', `update log.events set type = 'Else' where false`],
    ['DELETE', 'delete from log.events'],
    ['TRUNCATE', 'truncate log.events'],
    ['TRUNCATE', 'truncate log.events cascade'],
  ])('%s is refused by the database itself: %s', async (operation, text) => {
    const store = await fixture.openStore({ database: fixture.database })
    await store.append(to(newStream(), 'any', newEvent()))
    const owner = await fixture.specDatabase.connect()
    await expect(owner.query(text)).rejects.toThrow(`log.events is append-only: ${operation} is refused`)
    expect(await collect(store.readAll())).toHaveLength(1)
  })

  test('a session in the role of a replica is refused too', async () => {
    const store = await fixture.openStore({ database: fixture.database })
    await store.append(to(newStream(), 'any', newEvent()))
    const owner = await fixture.specDatabase.connect()
    // The platform's own role may not set this parameter; a superuser may, and the trigger still refuses.
    await expect(owner.query('set session_replication_role = replica; delete from log.events')).rejects.toThrow(
      /log.events is append-only: DELETE is refused|permission denied to set parameter/,
    )
    expect(await collect(store.readAll())).toHaveLength(1)
  })

  describe('migration', () => {
    test('many concurrent ones create one store', async () => {
      const migrated = await Promise.all(Array.from({ length: 5 }, () => migrateEventStore(fixture.database)))
      expect(new Set(migrated.map(({ storeId }) => storeId)).size).toBe(1)
    })

    test('of a log of the version before keeps its events, and an index that was built before', async () => {
      const store = await fixture.openStore()
      const event = newEvent()
      await store.append(to(newStream(), 'no stream', event))
      const admin = await fixture.specDatabase.connect()
      await admin.query(`drop function log.append_batch; drop function log.append_expected;
        drop index log.events_type_position; drop table log.epochs`)
      await admin.query('delete from log.schema_versions where version > 1')
      await admin.query('create index concurrently events_type_position on log.events (type, position)')
      const { rows: before } = await admin.query(`select 'log.events_type_position'::regclass::oid as index`)
      const migrated = await fixture.openStore({ database: fixture.database })
      expect(await collect(migrated.readAll({ types: [event.type] }))).toMatchObject([{ id: event.id }])
      expect(await migrated.append(to(newStream(), 'no stream', newEvent()))).toMatchObject({ outcome: 'appended' })
      expect((await admin.query(`select 'log.events_type_position'::regclass::oid as index`)).rows).toEqual(before)
    })

    test('a newer schema is refused by name, and left as it is', async () => {
      await migrateEventStore(fixture.database)
      await fixture.database.query('spec', 'insert into log.schema_versions (version) values (1000)')
      expect(await codeThrownBy(() => openPostgresEventStore({ database: fixture.database }))).toBe(
        'DATABASE_SCHEMA_NEWER',
      )
    })
  })
})
