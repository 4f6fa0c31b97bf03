import { defineEntity, p } from '@mikro-orm/postgresql'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import type { Projection } from './projection.ts'
import { buildSchema, key, moment, readSchema, type TableAccess } from './table.ts'

/** Why a read model waits. */
export type ProjectionFailure = { readonly code: string; readonly message: string }

const checkpointColumns = {
  projection: key().primary(),
  version: p.integer(),
  position: key(),
  failure: p.json<ProjectionFailure>().strictNullable(),
  updatedAt: moment(),
  /** How many streams are parked. */
  parked: p.integer().default(0),
  /** How often parked streams were folded after all: by somebody else than the runner, whose rows in memory are old then. */
  retries: p.integer().default(0),
}

/** How far each read model has come that is read. */
export const checkpointsTable = defineEntity({
  name: 'Checkpoint',
  tableName: 'checkpoints',
  schema: readSchema,
  properties: checkpointColumns,
})

/** How far the versions have come that are being built, at most one of each read model. Since `beganAt`, when it stood at
 *  `beganPosition`, a process has been at it. */
export const buildsTable = defineEntity({
  name: 'Build',
  tableName: 'builds',
  schema: readSchema,
  properties: { ...checkpointColumns, beganAt: moment(), beganPosition: key() },
})

/** Where a version of a read model stands: the table that is read, or one beside it that is being built. */
export type ProjectionTarget = {
  readonly kind: 'live' | 'build'
  readonly projection: Projection
  readonly table: TableAccess
  /** The table with its checkpoint. */
  readonly checkpoints: 'read.checkpoints' | 'read.builds'
}

export const liveTarget = (projection: Projection): ProjectionTarget => {
  const { table } = projection
  return { kind: 'live', projection, table, checkpoints: 'read.checkpoints' }
}

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

/** Where a place stands, as the runner knows it. */
export type CheckpointState = { readonly position: Position; readonly parked: number; readonly retries: number }

const READ = `select projection, version, position, failure, parked, retries from read.checkpoints
  where projection = any($1)`

const READ_BUILDS = `select projection, version, position, failure, parked, retries, began_at as "beganAt",
  began_position as "beganPosition", updated_at as "updatedAt" from read.builds where projection = any($1)`

/** The checkpoints of these projections that exist. */
export const readCheckpoints = (query: Query, names: readonly string[]): Promise<Checkpoint[]> =>
  query<Checkpoint>('checkpoints.read', READ, [names], { retry: true })

/** The versions of these projections that are being built. */
export const readBuilds = (query: Query, names: readonly string[]): Promise<Build[]> =>
  query<Build>('checkpoints.readBuilds', READ_BUILDS, [names], { retry: true })

/** Where the place stands; undefined when it is not there, or not at this version. `lock` keeps runners out until the end of
 *  the transaction. Throws POSITION_FOREIGN for another event store. */
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

/** Compare and set. The row stays locked until the end of the transaction, so a second runner waits here and then finds
 *  another position: the rows that are written with it come from one of the two alone. Values: the projection, its version,
 *  its position and retries as they were found, the new position, how many streams more are parked. */
export const moveStatement = ({ checkpoints }: ProjectionTarget): string =>
  `update ${checkpoints} set position = $5, parked = parked + $6, failure = null, updated_at = now()
    where projection = $1 and version = $2 and position = $3 and retries = $4 returning projection`

export const moveValues = (
  { projection: { name, version } }: ProjectionTarget,
  { position, retries }: CheckpointState,
  to: Position,
  parked: number,
): readonly unknown[] => [name, version, position, retries, to, parked]

/** Writes down why the place waits, for those who look from another process. */
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
