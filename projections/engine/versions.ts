import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import { TAKE_TEXT_LOCK, textLocks } from '../../infra/locks.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { errorCode } from '../../infra/system/errors.ts'
import {
  buildTarget,
  type CheckpointState,
  liveTarget,
  moveStatement,
  moveValues,
  type ProjectionTarget,
  readBuilds,
  readCheckpointState,
  readCheckpoints,
} from './checkpoints.ts'
import { deleteParked } from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { completeShadow, createShadow, shadowFits, swapShadow } from './shadow-table.ts'

/** The longest that queries on a read model wait for the swap, and the swap for them; then the swap is tried again
 *  later. */
const swapLockMsMax = 1_000

/** A read model that can be written: its target and the checkpoint of that. */
export type OpenedModel = { readonly target: ProjectionTarget; readonly state: CheckpointState }

const BEGIN_LIVE = 'insert into read.checkpoints (projection, version, position, updated_at) values ($1, $2, $3, now())'

const BEGIN_BUILD = `insert into read.builds (projection, version, position, updated_at, began_at, began_position)
  values ($1, $2, $3, now(), now(), $3)
  on conflict (projection) do update set version = excluded.version, position = excluded.position, failure = null,
    parked = 0, retries = read.builds.retries + 1, updated_at = now(), began_at = now(), began_position = excluded.position`

const CONTINUE_BUILD = `update read.builds set began_at = now(), began_position = position, updated_at = now()
  where projection = $1`

const TAKE_OVER = `insert into read.checkpoints (projection, version, position, parked, retries, updated_at)
  select projection, version, position, parked, retries, now() from read.builds where projection = $1
  on conflict (projection) do update set version = excluded.version, position = excluded.position, failure = null,
    parked = excluded.parked, retries = read.checkpoints.retries + 1, updated_at = now()`

/** Resolves to the target and the checkpoint of this version of a read model. The target is a table beside the live one
 *  when another version is live, or none although the log has events; a build of an older version is dropped then.
 *  Throws DATABASE_SCHEMA_NEWER when a newer version is live or being built, POSITION_FOREIGN for another event
 *  store. */
export const openModel = async (
  database: Pick<Database, 'query' | 'transaction'>,
  projection: Projection,
  store: Pick<EventStore, 'start' | 'head' | 'parsePosition'>,
): Promise<OpenedModel> => {
  const { name, version } = projection
  const head = await store.head()
  const target = await database.transaction('projections.open', async (query) => {
    // If two processes find nothing, one begins, and the lock makes the other find what was begun.
    await query('projections.lock', TAKE_TEXT_LOCK, [textLocks.readModel(name)])
    const [live] = await readCheckpoints(query, [name])
    if (live && live.version > version) throw newer(projection, live.version)
    if (live?.version === version) return liveTarget(projection)
    if (!live && head === store.start) {
      await query('checkpoints.begin', BEGIN_LIVE, [name, version, store.start])
      return liveTarget(projection)
    }
    await openBuild(query, projection, store.start)
    return buildTarget(projection)
  })
  const state = await readCheckpointState(database.query, target, store)
  if (!state) throw new Error(`The checkpoint of ${name} does not exist`)
  return { target, state }
}

const openBuild = async (query: Query, projection: Projection, start: Position): Promise<void> => {
  const { name, version } = projection
  const tables = { live: liveTarget(projection).table, shadow: buildTarget(projection).table }
  const [build] = await readBuilds(query, [name])
  if (build && build.version > version) throw newer(projection, build.version)
  if (build?.version === version && (await shadowFits(query, tables))) {
    await query('checkpoints.continueBuild', CONTINUE_BUILD, [name])
    return
  }
  // First the row: its lock blocks a process that builds the older version. Then its table.
  await query('checkpoints.beginBuild', BEGIN_BUILD, [name, version, start])
  if (build) await deleteParked(query, name, build.version)
  await createShadow(query, tables)
}

const newer = ({ name }: Projection, version: number) =>
  new Failure('DATABASE_SCHEMA_NEWER', { projection: name, version: String(version) })

/** Creates the indexes of a table that is nearly built. */
export const completeBuild = (
  database: Pick<Database, 'transaction'>,
  { projection, table }: ProjectionTarget,
): Promise<void> =>
  database.transaction('projections.completeBuild', async (query) => {
    await query('projections.lock', TAKE_TEXT_LOCK, [textLocks.readModel(projection.name)])
    await completeShadow(query, { live: projection.table, shadow: table })
  })

/** Makes the built table the live one, in one transaction with its checkpoint, and drops the table before. Resolves to
 *  false when the live table is further than the build, and to undefined when the checkpoint of the build was moved:
 *  another process works on it, or has swapped it in. Throws with SQLSTATE 55P03 while a long query reads the table. */
export const swapBuild = (
  database: Pick<Database, 'transaction'>,
  target: ProjectionTarget,
  state: CheckpointState,
  to: Position,
): Promise<boolean | undefined> =>
  database.transaction('projections.swap', async (query) => {
    const { projection, table } = target
    // The order is that of a runner of the live table: its checkpoint, then its rows. Otherwise the two would deadlock.
    const [live] = await query<{ version: number; position: string }>(
      'projections.swap.live',
      'select version, position from read.checkpoints where projection = $1 for update',
      [projection.name],
    )
    if (live && live.version >= projection.version) return undefined
    if (live && live.position > to) return false
    const moved = await query('checkpoints.move', moveStatement(target), moveValues(target, state, to, 0))
    if (moved.length === 0) return undefined
    const tables = { live: projection.table, shadow: table }
    if (!(await shadowFits(query, tables))) return undefined
    await swapShadow(query, tables, swapLockMsMax)
    await query('checkpoints.takeOver', TAKE_OVER, [projection.name])
    await query('checkpoints.endBuild', 'delete from read.builds where projection = $1', [projection.name])
    if (live) await deleteParked(query, projection.name, live.version)
    return true
  })

/** Returns true for the error of a statement that waited too long for a lock: SQLSTATE 55P03. */
export const isLockTimeout = (error: unknown): boolean => errorCode(error) === '55P03'
