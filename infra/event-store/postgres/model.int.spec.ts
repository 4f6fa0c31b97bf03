import { afterAll, beforeAll } from '@jest/globals'
import { modelTest } from '../contract.ts'
import { openPostgresEventStore, postgresCapabilities } from '../postgres.ts'
import { createSpecDatabase, type SpecDatabase } from './database.testing.ts'

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
    const door = own.open()
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
