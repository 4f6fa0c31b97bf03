import { afterEach, beforeEach } from '@jest/globals'
import type { EventStore, StoredEvent, SubscribeOptions } from '../port.ts'
import { openPostgresEventStore } from '../postgres.ts'
import { createSpecDatabase, type SpecDatabase, type WatchedDatabase } from './database.testing.ts'

type OpenOptions = {
  readonly database?: Pick<WatchedDatabase, 'query' | 'transaction' | 'listen'>
  readonly pollMs?: number
}

/** What a test of this engine is given: a database of its own, and stores and subscriptions that end with the test. */
export type Given = {
  readonly own: SpecDatabase
  /** One door to the database. A store that is opened without one gets its own, as if it were another process. */
  readonly door: WatchedDatabase
  /** Aborts when the test ends. */
  readonly stop: AbortController
  readonly open: (options?: OpenOptions) => Promise<EventStore>
}

/** Calls beforeEach and afterEach; what it returns may be used inside a test only. */
export const givenOwnDatabase = (): Given => {
  let current: Given | undefined
  let opened: EventStore[] = []
  beforeEach(async () => {
    const own = await createSpecDatabase()
    const open = async ({ database = own.open(), pollMs = 500 }: OpenOptions = {}) => {
      const store = await openPostgresEventStore({ database, pollMs })
      opened.push(store)
      return store
    }
    current = { own, door: own.open(), stop: new AbortController(), open }
  })
  afterEach(async () => {
    current?.stop.abort()
    for (const store of opened) await store.close()
    opened = []
    await current?.own.drop()
  })
  const now = (): Given => {
    if (!current) throw new Error('There is no database outside a test.')
    return current
  }
  return {
    get own() {
      return now().own
    },
    get door() {
      return now().door
    },
    get stop() {
      return now().stop
    },
    open: (options) => now().open(options),
  }
}

/** Follows a store until this many events have come. */
export const tail = async (store: EventStore, count: number, options: SubscribeOptions): Promise<StoredEvent[]> => {
  const events: StoredEvent[] = []
  for await (const batch of store.subscribe(options)) {
    events.push(...batch.events)
    if (events.length >= count) return events
  }
  throw new Error('The subscription ended before enough had come.')
}
