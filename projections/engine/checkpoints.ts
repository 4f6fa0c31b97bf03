import { defineEntity, p } from '@mikro-orm/postgresql'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import type { Projection } from './projection.ts'
import { buildSchema, key, moment, readSchema, type TableAccess } from './table.ts'

/** The reason why a read model waits. */
export type ProjectionFailure = { readonly code: string; readonly message: string }

const checkpointColumns = {
  projection: key().primary(),
  version: p.integer(),
  position: key(),
  failure: p.json<ProjectionFailure>().strictNullable(),
  updatedAt: moment(),
  /** The number of parked streams. */
  parked: p.integer().default(0),
  /** The number of retries that folded events of parked streams. They run outside the runner, whose rows in memory are
   *  out of date then. */
  retries: p.integer().default(0),
}

/** The checkpoint of each live read model. */
export const checkpointsTable = defineEntity({
  name: 'Checkpoint',
  tableName: 'checkpoints',
  schema: readSchema,
  properties: checkpointColumns,
})

/** The checkpoint of each version that is being built, at most one of each read model. A process has worked on it since
 *  `beganAt`, when its checkpoint was at `beganPosition`. */
export const buildsTable = defineEntity({
  name: 'Build',
  tableName: 'builds',
  schema: readSchema,
  properties: { ...checkpointColumns, beganAt: moment(), beganPosition: key() },
})

/** The table that a version of a read model is written to: the live one, or one beside it that is being built. */
export type ProjectionTarget = {
  readonly kind: 'live' | 'build'
  readonly projection: Projection
  readonly table: TableAccess
  /** The table that has its checkpoint. */
  readonly checkpoints: 'read.checkpoints' | 'read.builds'
}

/** Returns the live table of a read model as a target. */
export const liveTarget = (projection: Projection): ProjectionTarget => {
  const { table } = projection
  return { kind: 'live', projection, table, checkpoints: 'read.checkpoints' }
}

/** Returns the table in which a version of a read model is built as a target. */
export const buildTarget = (projection: Projection): ProjectionTarget => {
  const table = projection.table.within(buildSchema)
  return { kind: 'build', projection, table, checkpoints: 'read.builds' }
}

export type Checkpoint = {
  readonly projection: string
  readonly version: number
  readonly position: string
  readonly failure: ProjectionFailure | null
  readonly parked: number
  readonly retries: number
}
export type Build = Checkpoint & {
  readonly beganAt: string
  readonly beganPosition: string
  readonly updatedAt: string
}

/** The checkpoint of a target, as the runner last read or wrote it. */
export type CheckpointState = { readonly position: Position; readonly parked: number; readonly retries: number }

const READ = `select projection, version, position, failure, parked, retries from read.checkpoints
  where projection = any($1)`

const READ_BUILDS = `select projection, version, position, failure, parked, retries, began_at as "beganAt",
  began_position as "beganPosition", updated_at as "updatedAt" from read.builds where projection = any($1)`

/** Resolves to the checkpoints of these read models, as far as they exist. With `retry`, waits a few seconds for a
 *  database that is away. */
export const readCheckpoints = (query: Query, names: readonly string[], { retry = true } = {}): Promise<Checkpoint[]> =>
  query<Checkpoint>('checkpoints.read', READ, [names], { retry })

/** Resolves to the builds of these read models that are under way. */
export const readBuilds = (query: Query, names: readonly string[]): Promise<Build[]> =>
  query<Build>('checkpoints.readBuilds', READ_BUILDS, [names], { retry: true })

/** Resolves to the checkpoint of a target; undefined when there is none, or none of this version. `lock` blocks runners
 *  until the end of the transaction. Throws POSITION_FOREIGN for another event store. */
export const readCheckpointState = async (
  query: Query,
  { projection: { name, version }, checkpoints }: ProjectionTarget,
  store: Pick<EventStore, 'parsePosition'>,
  { lock = false } = {},
): Promise<CheckpointState | undefined> => {
  const text = `select position, parked, retries from ${checkpoints} where projection = $1 and version = $2`
  const [found] = await query<{ position: string; parked: number; retries: number }>(
    'checkpoints.standing',
    `${text}${lock ? ' for update' : ''}`,
    [name, version],
  )
  return found && { ...found, position: store.parsePosition(found.position) }
}

/** Returns the statement that moves a checkpoint by compare and set. The row stays locked until the end of the
 *  transaction, so a second runner waits here and then finds another position: the rows that are written with it come
 *  from one runner alone. Values: the projection, its version, its position and retries as they were read, the new
 *  position, the number of newly parked streams. */
export const moveStatement = ({ checkpoints }: ProjectionTarget): string =>
  `update ${checkpoints} set position = $5, parked = parked + $6, failure = null, updated_at = now()
    where projection = $1 and version = $2 and position = $3 and retries = $4 returning projection`

/** Returns the values of `moveStatement`. */
export const moveValues = (
  { projection: { name, version } }: ProjectionTarget,
  { position, retries }: CheckpointState,
  to: Position,
  parked: number,
): readonly unknown[] => [name, version, position, retries, to, parked]

/** Writes to the checkpoint why its read model waits, for the status that other processes show. */
export const markFailed = async (
  query: Query,
  { projection: { name, version }, checkpoints }: ProjectionTarget,
  failure: ProjectionFailure,
): Promise<void> => {
  await query('checkpoints.fail', `update ${checkpoints} set failure = $3 where projection = $1 and version = $2`, [
    name,
    version,
    JSON.stringify(failure),
  ])
}
