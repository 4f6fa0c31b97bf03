import { afterAll, beforeAll } from '@jest/globals'
import { openPostgresEventStore, postgresCapabilities } from './postgres.ts'
import { createSpecDatabase, type SpecDatabase } from './spec-database.ts'
import { modelTest } from './spec-model.ts'

let own: SpecDatabase
beforeAll(async () => {
  own = await createSpecDatabase()
})
afterAll(() => own.drop())

modelTest({
  name: 'Postgres',
  capabilities: postgresCapabilities,
  positions: 'counted',
  open: async () => {
    const door = own.openDoor()
    await door.query('spec', 'drop schema if exists log cascade')
    const store = await openPostgresEventStore({ database: door })
    return {
      ...store,
      close: async () => {
        await store.close()
        await door.close()
      },
    }
  },
})
