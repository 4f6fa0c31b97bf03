import { afterEach, beforeEach } from '@jest/globals'
import type { EventStore } from '../port.ts'
import { openPostgresEventStore } from '../postgres.ts'
import { createSpecDatabase, type ObservedDatabase, type SpecDatabase } from './database.testing.ts'

type OpenOptions = {
  readonly database?: Pick<ObservedDatabase, 'query' | 'transaction' | 'listen'>
  readonly pollMs?: number
  readonly announcing?: { readonly answerMsMax: number }
}

/** The set-up of a test of this engine: its own database, and stores and subscriptions that end with the test. */
export type StoreFixture = {
  readonly specDatabase: SpecDatabase
  /** One connected client of the database. A store that is opened without it gets its own, as if it were another
   *  process. */
  readonly database: ObservedDatabase
  /** Aborts when the test ends. */
  readonly stop: AbortController
  readonly openStore: (options?: OpenOptions) => Promise<EventStore>
}

/** Creates a database before each test, and closes and drops everything after it. Calls beforeEach and afterEach;
 *  what it returns may be used inside a test only. */
export const useStoreFixture = (): StoreFixture => {
  let current: StoreFixture | undefined
  let opened: EventStore[] = []
  beforeEach(async () => {
    const specDatabase = await createSpecDatabase()
    const openStore = async ({ database = specDatabase.open(), pollMs = 500, announcing }: OpenOptions = {}) => {
      const store = await openPostgresEventStore({ database, pollMs, announcing })
      opened.push(store)
      return store
    }
    current = { specDatabase, database: specDatabase.open(), stop: new AbortController(), openStore }
  })
  afterEach(async () => {
    current?.stop.abort()
    for (const store of opened) await store.close()
    opened = []
    await current?.specDatabase.drop()
  })
  const fixture = (): StoreFixture => {
    if (!current) throw new Error('There is no database outside a test.')
    return current
  }
  return {
    get specDatabase() {
      return fixture().specDatabase
    },
    get database() {
      return fixture().database
    },
    get stop() {
      return fixture().stop
    },
    openStore: (options) => fixture().openStore(options),
  }
}
