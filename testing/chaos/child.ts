import { isFailure } from '../../domain/errors.ts'
import { createBackoff } from '../../infra/async/backoff.ts'
import { keepInDatabase } from '../../infra/event-store/keeper.ts'
import { openEventStore } from '../../infra/event-store/open.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { connectPostgres, type Database } from '../../infra/postgres.ts'
import { createLog, type Log } from '../../infra/telemetry.ts'

/** What a process of a chaos run gets when it is started. `life` counts from 1 and rises with each start. */
export type ChildSettings = {
  readonly name: string
  readonly life: number
  readonly seed: number
  readonly url: string
  /** The address of the event store, when it is not in that database. */
  readonly eventStoreUrl?: string | undefined
  /** The folder of the journals. */
  readonly folder: string
  /** How many appends or rentals it begins in a second, about. */
  readonly perSecond: number
}

/** Figures that only rise. The last line that a process has printed counts. */
export type Counts = Readonly<Record<string, number>>

export type Child = {
  readonly settings: ChildSettings
  readonly database: Database
  readonly log: Log
  /** Opens the event store of the run, as soon as it answers. */
  readonly openStore: () => Promise<EventStore>
  /** Aborts when the process shall end: it then begins nothing new, and finishes what it has begun. */
  readonly signal: AbortSignal
  readonly count: (name: string, by?: number) => void
}

const printEveryMs = 500
const pauseMsMin = 50
const pauseMsMax = 500
const slowMs = 10_000

/** Runs the work, and again while the database is away: an append that was begun needs an answer. */
export const untilAnswered = async <T>(work: () => Promise<T>): Promise<T> => {
  const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isFailure(error, 'DATABASE_UNAVAILABLE') && !isFailure(error, 'EVENT_STORE_UNREACHABLE')) throw error
      await backoff.pause()
    }
  }
}

/** Runs a program of the chaos run. It ends in order on SIGTERM, at once when its parent is gone, and with a stack on
 *  its error output when something unexpected is thrown. */
export const runChild = async (poolSize: number, work: (child: Child) => Promise<void>): Promise<void> => {
  const settings = JSON.parse(process.argv[2] ?? '') as ChildSettings
  const stopping = new AbortController()
  process.once('SIGTERM', () => stopping.abort())
  process.stdin.on('end', () => process.exit(1)).resume()
  const counts: Record<string, number> = {}
  const printCounts = () => process.stdout.write(`${JSON.stringify(counts)}\n`)
  printCounts()
  const printing = setInterval(printCounts, printEveryMs)
  const log = createLog({ level: 'warn', format: 'pretty' }, process.stderr)
  const database = connectPostgres({ url: settings.url, log, poolSize, slowQueryMs: slowMs })
  const { eventStoreUrl } = settings
  const keepers = eventStoreUrl === undefined ? [] : [keepInDatabase(database)]
  await work({
    settings,
    database,
    log,
    openStore: () => untilAnswered(() => openEventStore({ database, eventStoreUrl, log, keepers })),
    signal: stopping.signal,
    count: (name, by = 1) => {
      counts[name] = (counts[name] ?? 0) + by
    },
  })
  await database.close()
  clearInterval(printing)
  printCounts()
  process.exit(0)
}
