/** A program that builds the read models of the database at DATABASE_URL, prints the most memory that it ever took, in
 *  bytes, and ends. */
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres } from '../../infra/postgres.ts'
import { createLog } from '../../infra/telemetry.ts'
import { allProjections } from '../../projections/all.ts'
import { startProjections } from '../../projections/engine/start.ts'

const buildMsMax = 120_000
const log = createLog({ level: 'warn', format: 'json' }, process.stderr)
const database = connectPostgres({ url: process.env.DATABASE_URL ?? '', log, poolSize: 10 })
const store = await openPostgresEventStore({ database })
const projections = startProjections({ projections: allProjections, store, database, log })
await projections.waitFor(await store.head(), buildMsMax)
await projections.close()
await store.close()
await database.close()
process.stdout.write(`${process.resourceUsage().maxRSS * 1024}\n`)
