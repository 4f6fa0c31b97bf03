import { afterAll, beforeAll } from '@jest/globals'
import { modelTest } from '../contract.ts'
import { openPostgresEventStore, postgresCapabilities } from '../postgres.ts'
import { createSpecDatabase, type SpecDatabase } from './database.testing.ts'

let specDatabase: SpecDatabase
beforeAll(async () => {
  specDatabase = await createSpecDatabase()
})
afterAll(() => specDatabase.drop())

modelTest({
  name: 'Postgres',
  capabilities: postgresCapabilities,
  positions: 'counted',
  open: async () => {
    const database = specDatabase.open()
    await database.query('spec', 'drop schema if exists log cascade')
    const store = await openPostgresEventStore({ database })
    return {
      ...store,
      close: async () => {
        await store.close()
        await database.close()
      },
    }
  },
})
