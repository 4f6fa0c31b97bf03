import { defineEntity, p } from '@mikro-orm/postgresql'
import { Failure } from '../domain/errors.ts'
import type { EventStore, Position } from '../infra/event-store/port.ts'
import type { Database, Query } from '../infra/postgres.ts'
import type { Projection } from './projection.ts'
import { key, moment, readSchema } from './table.ts'

/** Why a projection stands still. `stream` and `revision` name the event that it cannot fold. */
export type ProjectionFailure = {
  readonly code: string
  readonly message: string
  readonly stream?: string
  readonly revision?: string
}

/** How far each projection has come. */
export const checkpointsTable = defineEntity({
  name: 'Checkpoint',
  tableName: 'checkpoints',
  schema: readSchema,
  properties: {
    projection: key().primary(),
    version: p.integer(),
    position: key(),
    failure: p.json<ProjectionFailure>().strictNullable(),
    updatedAt: moment(),
  },
})

export type Checkpoint = {
  readonly projection: string
  readonly version: number
  readonly position: string
  readonly failure: ProjectionFailure | null
}

const READ = 'select projection, version, position, failure from read.checkpoints where projection = any($1)'

const BEGIN = `insert into read.checkpoints (projection, version, position, updated_at) values ($1, $2, $3, now())
  on conflict (projection) do nothing`

/** Locks the row until the end of the transaction, so that a second runner waits here and then finds another position: the
 *  rows that follow are then written by one of the two alone. */
const MOVE = `update read.checkpoints set position = $4, failure = null, updated_at = now()
  where projection = $1 and version = $2 and position = $3 returning projection`

const RESTART = `update read.checkpoints set version = $2, position = $3, failure = null, updated_at = now()
  where projection = $1 and version < $2 returning projection`

const FAIL = 'update read.checkpoints set failure = $4 where projection = $1 and version = $2 and position = $3'

/** The checkpoints of these projections that exist. */
export const readCheckpoints = (query: Query, names: readonly string[]): Promise<Checkpoint[]> =>
  query<Checkpoint>('checkpoints.read', READ, [names], { retry: true })

/** Where the projection goes on. Makes the checkpoint when there is none, and empties the table when it was built by an older
 *  version. Throws DATABASE_SCHEMA_NEWER when a newer version has built it, POSITION_FOREIGN for another event store. */
export const openCheckpoint = async (
  database: Pick<Database, 'query' | 'transaction'>,
  { name, version, table }: Projection,
  store: Pick<EventStore, 'start' | 'parsePosition'>,
): Promise<Position> => {
  await database.query('checkpoints.begin', BEGIN, [name, version, store.start], { retry: true })
  await database.transaction('checkpoints.restart', async (query) => {
    const restarted = await query('checkpoints.restart', RESTART, [name, version, store.start])
    if (restarted.length > 0) await query('checkpoints.empty', `delete from ${table.name}`)
  })
  const [checkpoint] = await readCheckpoints(database.query, [name])
  if (!checkpoint) throw new Error(`The checkpoint of ${name} has vanished`)
  if (checkpoint.version > version)
    throw new Failure('DATABASE_SCHEMA_NEWER', { projection: name, version: String(checkpoint.version) })
  return store.parsePosition(checkpoint.position)
}

/** Compare and set: false when the checkpoint is not at `from` any more. */
export const moveCheckpoint = async (
  query: Query,
  { name, version }: Projection,
  from: Position,
  to: Position,
): Promise<boolean> => (await query('checkpoints.move', MOVE, [name, version, from, to])).length > 0

/** Writes down why the projection stands, for those who look from another process. */
export const markFailed = async (
  query: Query,
  { name, version }: Projection,
  at: Position,
  failure: ProjectionFailure,
): Promise<void> => {
  await query('checkpoints.fail', FAIL, [name, version, at, JSON.stringify(failure)])
}
