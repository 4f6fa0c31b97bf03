import type { EventStore } from '../infra/event-store/port.ts'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import { connectPostgres, type Database, openPool } from '../infra/postgres.ts'
import { createLog, type Log } from '../infra/telemetry.ts'

/** Connections of each contestant, as many as the platform has. */
export const poolSize = 10

export const silent: Log = createLog({ level: 'silent', format: 'json' })

/** Opens our store as the platform does, for this work. */
export const withStore = async <T>(
  url: string,
  work: (store: EventStore, database: Database) => Promise<T>,
): Promise<T> => {
  const database = connectPostgres({ url, log: silent, poolSize, slowQueryMs: Number.POSITIVE_INFINITY })
  try {
    const store = await openPostgresEventStore({ database })
    try {
      return await work(store, database)
    } finally {
      await store.close()
    }
  } finally {
    await database.close()
  }
}

/** Opens the driver alone, on the tables of our store, to measure what PostgreSQL itself can do. */
export const withPool = async <T>(
  url: string,
  connections: number,
  work: (pool: ReturnType<typeof openPool>) => Promise<T>,
): Promise<T> => {
  const pool = openPool({ url, log: silent, poolSize: connections })
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}

/** Returns milliseconds of a clock that all processes of the machine share. */
export const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6
