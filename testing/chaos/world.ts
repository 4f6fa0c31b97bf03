import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { destination } from 'pino'
import type { ServerNode } from '../../bench/eventstoredb/nodes.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts'
import { openEventStore } from '../../infra/event-store/open.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { connectPostgres, type Database, migrateOperations } from '../../infra/postgres.ts'
import { createLog, type Log } from '../../infra/telemetry.ts'
import { allProjections } from '../../projections/all.ts'
import { openReadModels, type ReadModels } from '../../projections/database.ts'
import { keepNodesRunning, type Nodes } from './nodes.ts'
import { type Relay, startRelay } from './relay.ts'

const poolSize = 4
const readyMsMax = 60_000

export type Folders = { readonly root: string; readonly journals: string; readonly logs: string }

/** A PostgreSQL of the run's own, with synced commits, and a door to it; the event store is there, or on the nodes. */
export type World = {
  readonly folders: Folders
  readonly log: Log
  readonly server: EmbeddedPostgres
  /** The nodes of an EventStoreDB that holds the log. */
  readonly nodes: Nodes | undefined
  /** The processes of the run reach the nodes through it, when connections to them are to be cut. */
  readonly relay: Relay | undefined
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

/** Opens all that the run itself needs, with every schema migrated. Closes what was opened when a later part fails.
 *  Throws when the log on the nodes is not empty. */
export const openWorld = async (
  folders: Folders,
  eventStore: { readonly nodes: readonly ServerNode[]; readonly cutConnections: boolean },
): Promise<World> => {
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
    const nodes = eventStore.nodes.length > 0 ? await keepNodesRunning(eventStore.nodes, log) : undefined
    if (nodes) opened.push(nodes.close)
    const relay = nodes && eventStore.cutConnections ? await startRelay() : undefined
    if (relay) opened.push(relay.close)
    const store = await openEventStore({ database, eventStoreUrl: nodes?.url, log })
    opened.push(store.close)
    if ((await store.head()) !== store.start)
      throw new Error('the log on the nodes is not empty: the run needs nodes with empty data folders')
    const read = await openReadModels({ url, log, projections: allProjections })
    opened.push(read.close)
    return { folders, log, server, nodes, relay, database, store, read, close }
  } catch (error) {
    await close()
    throw error
  }
}
