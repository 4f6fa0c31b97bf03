import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { destination } from 'pino'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { connectPostgres, type Database, migrateOperations } from '../../infra/postgres.ts'
import { createLog, type Log } from '../../infra/telemetry.ts'
import { allProjections } from '../../projections/all.ts'
import { openReadModels, type ReadModels } from '../../projections/database.ts'

const poolSize = 4
const readyMsMax = 60_000

export type Folders = { readonly root: string; readonly journals: string; readonly logs: string }

/** A PostgreSQL of the run's own, with synced commits, and a door to it. */
export type World = {
  readonly folders: Folders
  readonly log: Log
  readonly server: EmbeddedPostgres
  readonly database: Database
  readonly store: EventStore
  readonly read: ReadModels
  close(): Promise<void>
}

export const createFolders = async (): Promise<Folders & { remove(): Promise<void> }> => {
  const root = await mkdtemp(join(tmpdir(), `neuralmesh-chaos-${process.pid}-`))
  // PostgreSQL may run as another user, which must be able to enter.
  await chmod(root, 0o755)
  const [journals, logs] = [join(root, 'journals'), join(root, 'logs')]
  await Promise.all([mkdir(journals), mkdir(logs)])
  return { root, journals, logs, remove: () => rm(root, { recursive: true, force: true }) }
}

/** Opens all that the run itself needs, with every schema migrated. Closes what was opened when a later part fails. */
export const openWorld = async (folders: Folders): Promise<World> => {
  const opened: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const one of opened.splice(0).toReversed()) await one()
  }
  const file = destination({ dest: join(folders.logs, 'chaos.log'), sync: true })
  const log = createLog({ level: 'info', format: 'json' }, file)
  try {
    const server = await startEmbeddedPostgres({ folder: folders.root, log })
    opened.push(server.close)
    const { url } = server
    const database = connectPostgres({ url, log, poolSize })
    opened.push(database.close)
    await database.waitUntilReady(readyMsMax)
    await migrateOperations(database)
    const store = await openPostgresEventStore({ database })
    opened.push(store.close)
    const read = await openReadModels({ url, log, projections: allProjections })
    opened.push(read.close)
    return { folders, log, server, database, store, read, close }
  } catch (error) {
    await close()
    throw error
  }
}
