import pg from 'pg'
import { Failure } from '../../../domain/errors.ts'
import { createTestDatabase } from '../../../testing/servers/database.ts'
import type { Database } from '../../postgres.ts'

/** The door to the database, but one that can be watched and broken. */
export type WatchedDatabase = Database & {
  /** How often each label was asked. */
  readonly asked: ReadonlyMap<string, number>
  /** Runs the next statement with this label, and then says that the connection broke before its answer came. */
  loseAnswerOf(label: string): void
  /** While it is away, nothing gets through. */
  setAway(away: boolean): void
}

/** A database of its own on the server of the test run. */
export type SpecDatabase = {
  open(): WatchedDatabase
  /** A session of somebody else; ended with the database at the latest. */
  connect(): Promise<pg.Client>
  drop(): Promise<void>
}

const watch = (database: Database): WatchedDatabase => {
  const asked = new Map<string, number>()
  const losing = new Set<string>()
  let away = false
  return {
    ...database,
    asked,
    loseAnswerOf: (label) => losing.add(label),
    setAway: (value) => {
      away = value
    },
    query: async (label, ...rest) => {
      asked.set(label, (asked.get(label) ?? 0) + 1)
      if (away) throw new Failure('DATABASE_UNAVAILABLE')
      const rows = await database.query<never>(label, ...rest)
      if (losing.delete(label)) throw new Failure('DATABASE_UNAVAILABLE')
      return rows
    },
  }
}

/** Throws when TEST_DATABASE_URL names no server. */
export const createSpecDatabase = async (): Promise<SpecDatabase> => {
  const { url, connect, drop } = await createTestDatabase()
  return {
    open: () => watch(connect({ poolSize: 10 })),
    connect: async () => {
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => undefined)
      await client.connect()
      return client
    },
    drop,
  }
}
