import pg from 'pg'
import { Failure } from '../../../domain/errors.ts'
import { createTestDatabase } from '../../../testing/servers/database.ts'
import type { Database } from '../../postgres.ts'

/** A database that counts its queries. A test can break its connection. */
export type ObservedDatabase = Database & {
  /** The number of queries by label. */
  readonly queryCounts: ReadonlyMap<string, number>
  /** Runs the next statement with this label, and then throws as if the connection broke before the response came. */
  loseResponseTo(label: string): void
  /** Returns how many responses were lost so. */
  lostCount(): number
  /** Makes the database unavailable or available again. While it is unavailable, every query throws
   *  DATABASE_UNAVAILABLE. */
  setUnavailable(unavailable: boolean): void
  /** Makes every read of the event store fail with this SQLSTATE, until it is called with undefined. */
  failReads(sqlState: string | undefined): void
}

/** A new database on the server of the test run. */
export type SpecDatabase = {
  open(): ObservedDatabase
  /** Opens a session of another client; dropping the database ends it at the latest. */
  connect(): Promise<pg.Client>
  drop(): Promise<void>
}

const observe = (database: Database): ObservedDatabase => {
  const queryCounts = new Map<string, number>()
  const lostResponses = new Set<string>()
  let lost = 0
  let isUnavailable = false
  let readFault: string | undefined
  return {
    ...database,
    queryCounts,
    loseResponseTo: (label) => lostResponses.add(label),
    lostCount: () => lost,
    setUnavailable: (unavailable) => {
      isUnavailable = unavailable
    },
    failReads: (sqlState) => {
      readFault = sqlState
    },
    query: async (label, ...rest) => {
      queryCounts.set(label, (queryCounts.get(label) ?? 0) + 1)
      if (isUnavailable) throw new Failure('DATABASE_UNAVAILABLE')
      if (readFault !== undefined && /^eventStore\.(head|read|asOf)/.test(label))
        throw Object.assign(new Error('refused by the spec'), { code: readFault })
      const rows = await database.query<never>(label, ...rest)
      if (!lostResponses.delete(label)) return rows
      lost += 1
      throw new Failure('DATABASE_UNAVAILABLE')
    },
  }
}

/** Creates a new database on the server of the test run. Throws when TEST_DATABASE_URL names no server. */
export const createSpecDatabase = async (): Promise<SpecDatabase> => {
  const { url, connect, drop } = await createTestDatabase()
  return {
    open: () => observe(connect({ poolSize: 10 })),
    connect: async () => {
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => undefined)
      await client.connect()
      return client
    },
    drop,
  }
}
