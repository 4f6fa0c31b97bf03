import { afterAll, describe, expect, test } from '@jest/globals'
import { codeThrownBy, collect, eventStoreContract, newEvent, newEvents, newStream, to } from './contract.ts'
import { createSpecDatabase, type SpecDatabase } from './postgres/database.testing.ts'
import { migrateEventStore } from './postgres/schema.ts'
import { givenOwnDatabase } from './postgres/store.testing.ts'
import { openPostgresEventStore, postgresCapabilities } from './postgres.ts'

const databases: SpecDatabase[] = []
const newDatabase = async () => {
  const own = await createSpecDatabase()
  databases.push(own)
  return own
}
const first = (): SpecDatabase => {
  const [own] = databases
  if (!own) throw new Error('The first store opens before the others.')
  return own
}
const openOn = (own: SpecDatabase) => openPostgresEventStore({ database: own.open() })

eventStoreContract({
  capabilities: postgresCapabilities,
  open: async () => openOn(await newDatabase()),
  openEmpty: async () => openOn(await newDatabase()),
  reopen: () => openOn(first()),
  openCuttable: async () => {
    const door = first().open()
    const store = await openPostgresEventStore({ database: door })
    return { store, cutNext: () => door.loseAnswerOf('eventStore.append') }
  },
})

afterAll(async () => {
  for (const own of databases) await own.drop()
})

describe('event store on Postgres', () => {
  const given = givenOwnDatabase()

  test('64 concurrent appends share a few commits', async () => {
    const store = await given.open({ database: given.door })
    const answers = await Promise.all(newEvents(64).map((event) => store.append(to(newStream(), 'no stream', event))))
    expect(new Set(answers.map((answer) => 'position' in answer && answer.position)).size).toBe(64)
    expect(given.door.asked.get('eventStore.append')).toBe(2)
  })

  test('an append that the database refuses does not take its batch along', async () => {
    const store = await given.open({ database: given.door })
    const admin = await given.own.connect()
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
    const store = await given.open({ database: given.door })
    await store.append(to(newStream(), 'any', newEvent()))
    const owner = await given.own.connect()
    await expect(owner.query(text)).rejects.toThrow(`log.events is append-only: ${operation} is refused`)
    expect(await collect(store.readAll())).toHaveLength(1)
  })

  test('playing the replica opens no way around it', async () => {
    const store = await given.open({ database: given.door })
    await store.append(to(newStream(), 'any', newEvent()))
    const owner = await given.own.connect()
    // The platform's own role may not even try; a superuser may, and meets the trigger all the same.
    await expect(owner.query('set session_replication_role = replica; delete from log.events')).rejects.toThrow(
      /log.events is append-only: DELETE is refused|permission denied to set parameter/,
    )
    expect(await collect(store.readAll())).toHaveLength(1)
  })

  describe('migration', () => {
    test('many at once make one store', async () => {
      const made = await Promise.all(Array.from({ length: 5 }, () => migrateEventStore(given.door)))
      expect(new Set(made.map(({ storeId }) => storeId)).size).toBe(1)
    })

    test('of a log of the version before keeps its events, and takes an index that was built before as it is', async () => {
      const store = await given.open()
      const event = newEvent()
      await store.append(to(newStream(), 'no stream', event))
      const admin = await given.own.connect()
      await admin.query('drop function log.append_batch; drop index log.events_type_position')
      await admin.query('delete from log.schema_versions where version > 1')
      await admin.query('create index concurrently events_type_position on log.events (type, position)')
      const { rows: before } = await admin.query(`select 'log.events_type_position'::regclass::oid as index`)
      const migrated = await given.open({ database: given.door })
      expect(await collect(migrated.readAll({ types: [event.type] }))).toMatchObject([{ id: event.id }])
      expect(await migrated.append(to(newStream(), 'no stream', newEvent()))).toMatchObject({ outcome: 'appended' })
      expect((await admin.query(`select 'log.events_type_position'::regclass::oid as index`)).rows).toEqual(before)
    })

    test('a newer schema is refused by name, and left as it is', async () => {
      await migrateEventStore(given.door)
      await given.door.query('spec', 'insert into log.schema_versions (version) values (1000)')
      expect(await codeThrownBy(() => openPostgresEventStore({ database: given.door }))).toBe('DATABASE_SCHEMA_NEWER')
    })
  })
})
