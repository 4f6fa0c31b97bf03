/** A program that exports the log of the database at DATABASE_URL into OUT in rounds of ROUND events, made to be
 *  killed: when it has read STOP_AT events, it prints their number and waits. Personal data is exported too. */
import { exportLog } from '../../cli/export.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'

const log = createLog({ level: 'warn', format: 'json' }, process.stderr)
const database = connectPostgres({ url: process.env.DATABASE_URL ?? '', log, poolSize: 6 })
const store = await openPostgresEventStore({ database, migrate: false })
const limits = { roundEvents: Number(process.env.ROUND), groupEvents: 7, batchEvents: 5 }
await exportLog({
  out: process.env.OUT ?? '',
  format: 'parquet',
  pseudonymKey: undefined,
  store,
  signal: new AbortController().signal,
  limits,
  onProgress: (_, events) => {
    if (events < Number(process.env.STOP_AT)) return
    process.stdout.write(`${events}\n`)
    // Blocks the whole process, which does not end either.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
})
