/** A program that replays the example into the schema SCHEMA of the database at DATABASE_URL, made to be killed: it
 *  prints `built` when half of the log is folded into the new tables, which are not in use yet, and waits there. */
import { byStartedMinute, revenueByGpu } from '../../analysis/revenue-by-gpu.ts'
import { runReplay } from '../../cli/replay.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'

const log = createLog({ level: 'warn', format: 'json' }, process.stderr)
const database = connectPostgres({ url: process.env.DATABASE_URL ?? '', log, poolSize: 6 })
const store = await openPostgresEventStore({ database, migrate: false })
await runReplay({
  replay: revenueByGpu(byStartedMinute),
  schema: process.env.SCHEMA ?? '',
  period: {},
  about: {},
  store,
  database,
  signal: new AbortController().signal,
  rowsMax: 1,
  batchSize: 10,
  onProgress: (done) => {
    if (done < 0.5) return
    process.stdout.write('built\n')
    // Blocks the whole process, which does not end either.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
})
