/** A program that keeps the read models of the database at DATABASE_URL up to date, made to be killed at any moment.
 *  The smallest batches, so that a kill is likely to hit a transaction. Prints `running` when it has begun. */
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { allProjections } from '../../projections/all.ts'
import { startProjections } from '../../projections/engine/start.ts'

const batchSize = 1
const log = createLog({ level: 'warn', format: 'json' }, process.stderr)
const database = connectPostgres({ url: process.env.DATABASE_URL ?? '', log, poolSize: 10 })
const store = await openPostgresEventStore({ database })
startProjections({ projections: allProjections, store, database, log, batchSize })
process.stdout.write('running\n')
