import { createHash } from 'node:crypto'
import { isFailure } from '../../domain/errors.ts'
import { createBatchLoader } from '../../infra/async/batch-loader.ts'
import { createBoundedMap, registerBound } from '../../infra/async/bounded.ts'
import { gather } from '../../infra/async/gather.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import {
  type Checkpoint,
  type CheckpointState,
  moveStatement,
  moveValues,
  type ProjectionTarget,
  readCheckpoints,
} from './checkpoints.ts'

/** A write with more rows than this goes alone: others shall not wait for it. */
const togetherCharactersMax = 256 * 1024

/** Each is kept by the server too, once per connection. */
const preparedStatements = registerBound({
  name: 'prepared statements of read models',
  holds: 'The names of the statements that write rows of several read models, one for each set of models met first.',
  whenFull: 'refuses the new one',
  entriesMax: 32,
})

/** The step of one read model: its rows as JSON text, and its checkpoint from where it was read to `position`. */
export type ModelWrite = {
  readonly target: ProjectionTarget
  readonly state: CheckpointState
  readonly position: Position
  readonly rows: number
  readonly encoded: string
}

/** The writer that the live read models of a process share. Its commits do not wait for the disk: when the database
 *  crashes, rows and checkpoint of the last moment are lost together, and the checkpoint is behind where it was. */
export type GroupWriter = {
  /** Resolves to false when the checkpoint was not where it was left: then nothing was written. */
  write(write: ModelWrite): Promise<boolean>
  /** Resolves to the checkpoint of a live read model as it is now; undefined when there is none. Those that are asked for
   *  at the same time are read together. Throws DATABASE_UNAVAILABLE at once. */
  readCheckpoint(name: string): Promise<Checkpoint | undefined>
}

type Waiting = {
  readonly write: ModelWrite
  readonly resolve: (isWritten: boolean | Promise<boolean>) => void
  readonly reject: (error: unknown) => void
}

/** Writes the step of one read model with one statement. */
export const writeAlone = async (
  query: Query,
  { target, state, position, rows, encoded }: ModelWrite,
  parked = 0,
): Promise<boolean> => {
  const values = moveValues(target, state, position, parked)
  const { table } = target
  const moved =
    rows === 0
      ? await query('projections.move', moveStatement(target), values)
      : await query('projections.write', aloneStatement(target), [...values, encoded], { name: `write ${table.name}` })
  return moved.length > 0
}

const aloneStatement = (target: ProjectionTarget): string =>
  `with moved as (${moveStatement(target)}), written as (${target.table.upsert('$7', 'moved')}) select projection from moved`

/** Creates the writer that the live read models of a process share: the steps of one turn of the event loop, and those
 *  that came while a statement was under way, are one statement and one commit. Each model still moves only from where
 *  it was left, whatever becomes of the others: the statement waits for no lock, and a model that it could not move
 *  tries alone. When one of them is refused, all of them are written alone. */
export const createGroupWriter = ({ query }: Pick<Database, 'query'>): GroupWriter => {
  const names = createBoundedMap<string>(preparedStatements)
  const nameOfStatement = (targets: readonly ProjectionTarget[], text: string): string | undefined => {
    const models = targets.map(({ projection }) => projection.name).join(' ')
    const known = names.get(models)
    if (known !== undefined) return known
    const name = `together ${createHash('sha1').update(text).digest('base64url')}`
    return names.set(models, name) ? name : undefined
  }

  const writeTogether = async (writes: readonly ModelWrite[]): Promise<ReadonlySet<string>> => {
    const withRows = writes.filter(({ rows }) => rows > 0)
    const values = [
      writes.map(({ target }) => target.projection.name),
      writes.map(({ target }) => target.projection.version),
      writes.map(({ state }) => state.position),
      writes.map(({ state }) => state.retries),
      writes.map(({ position }) => position),
      ...withRows.map(({ encoded }) => encoded),
    ]
    const targets = withRows.map(({ target }) => target)
    const text = togetherStatement(targets)
    const name = nameOfStatement(targets, text)
    const moved = await query<{ projection: string }>('projections.writeTogether', text, values, {
      ...(name && { name }),
    })
    return new Set(moved.map(({ projection }) => projection))
  }

  const writeGroup = async (group: readonly Waiting[]): Promise<void> => {
    const alone = ({ write, resolve }: Waiting) => resolve(writeAlone(query, write))
    try {
      const moved = await writeTogether(group.map(({ write }) => write))
      for (const one of group)
        if (moved.has(one.write.target.projection.name)) one.resolve(true)
        else alone(one)
    } catch (error) {
      for (const one of group)
        if (isFailure(error, 'DATABASE_UNAVAILABLE')) one.reject(error)
        else alone(one)
    }
  }

  // All that were given the same events come within one turn.
  const give = gather((group: readonly Waiting[]) =>
    writeGroup(group.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))),
  )

  return {
    write: (write) => {
      if (write.encoded.length > togetherCharactersMax) return writeAlone(query, write)
      return new Promise((resolve, reject) => {
        give({ write, resolve, reject }).catch(reject)
      })
    },
    readCheckpoint: createBatchLoader(async (names) => {
      const found = new Map((await readCheckpoints(query, names, { retry: false })).map((one) => [one.projection, one]))
      return names.map((name) => found.get(name))
    }),
  }
}

const nameOf = ({ write }: Waiting): string => write.target.projection.name

/** Moves the checkpoints that are where they were left and not locked, and writes the rows of those alone.
 *  Its commit does not wait for the disk: rows and checkpoints are lost together, and are folded again. $1 names, $2
 *  versions, $3 positions and $4 retries as they were read, $5 new positions, then the rows of each model that has
 *  some. */
const togetherStatement = (targets: readonly ProjectionTarget[]): string => {
  const written = targets.map(({ projection, table }, index) => {
    const rows = table.upsert(`$${6 + index}`, `moved where projection = '${projection.name}'`)
    return `, written_${index} as (${rows})`
  })
  return `with locked as (
    select c.projection, m.position
    from unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[]) as m(projection, version, was, retries, position)
    join read.checkpoints c on c.projection = m.projection and c.version = m.version and c.position = m.was
      and c.retries = m.retries
    for update of c skip locked
  ), moved as (
    update read.checkpoints c set position = l.position, failure = null, updated_at = now()
    from locked l where c.projection = l.projection returning c.projection
  )${written.join('')}
  select m.projection from moved m, (select set_config('synchronous_commit', 'off', true)) s`
}
