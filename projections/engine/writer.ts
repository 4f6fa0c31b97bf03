import type { Batch, EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { type CheckpointState, type ProjectionTarget, readCheckpointState } from './checkpoints.ts'
import { assertFoldWorks } from './defects.ts'
import { type BatchFolder, createBatchFolder, type FoldedBatch, type RowCache } from './fold-batch.ts'
import { type WriteModel, writeAlone } from './group-writer.ts'
import { countHeld, type Parking, park, parkedAmong } from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { type BisectedCommit, commitBisecting, isRowRejected, loadRows } from './rejected-rows.ts'
import type { OpenedModel } from './versions.ts'

/** A batch is full with so many bytes of events, and the rows in memory take about so many. */
const batchBytesMax = 16 * 1024 * 1024
const cacheBytesMax = 32 * 1024 * 1024
/** How long a checkpoint stands while no event of the log concerns its read model, and how long for a process that another
 *  one is ahead of: that one goes on, and this one takes its place when it has ended. */
const idleMoveMs = 250
const idleMoveBehindMs = 2_000

/** Thrown by a writer when another process has moved the checkpoint or changed rows: the log has to be read again from
 *  there. */
export const checkpointConflict = new Error('Another process has moved the checkpoint')

export type Writer = {
  /** Folds a page of the log while the batch before is being written. Begins to write when the batch is full or no more
   *  pages follow at once. Throws the error of a failed write, and `checkpointConflict`. */
  take(page: Batch, hasMore?: boolean): Promise<void>
  /** Writes everything that was taken. Resolves to the position up to which the rows reflect the log. Throws like
   *  `take`. */
  finish(): Promise<Position>
  /** Returns the checkpoint as it was last written. */
  state(): CheckpointState
  close(): Promise<void>
}

/** The rows are encoded while the batch before is being written. */
type EncodedBatch = FoldedBatch & { readonly encoded: string }

/** Creates the writer that moves the rows and the checkpoint of one target forward, with one statement for each batch.
 *  Each write succeeds only if the checkpoint is where the writer left it: so either the cached rows are current, or
 *  nothing is written.
 *  @param refuse the error with which every event is refused: the database could not write it alone.
 *  @param pageEvents the most events of a page; `batchEvents` is the number from which on a batch is full.
 *  @param onWritten called when the rows reflect the log up to a position, with the number of events folded for it.
 *  @param onParked called with the streams that a batch has parked.
 *  @param onFailed called when a write has failed or found a conflict: nothing more is written, and `finish` throws the
 *  reason. */
export const createWriter = (options: {
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly store: Pick<EventStore, 'readStream' | 'readAll' | 'parsePosition'>
  /** Writes what needs one statement, perhaps together with other read models. */
  readonly writeModel?: WriteModel | undefined
  readonly opened: OpenedModel
  readonly refuse?: { readonly error: unknown } | undefined
  readonly pageEvents: number
  readonly batchEvents: number
  readonly onWritten: (position: Position, events: number, state: CheckpointState) => void
  readonly onParked: (parkings: readonly Parking[]) => void
  readonly onFailed: () => void
}): Writer => {
  const { database, store, writeModel, opened, refuse, pageEvents, batchEvents, onWritten, onParked, onFailed } =
    options
  const { target } = opened
  const { table } = target
  const projection = refuse ? refusing(target.projection, refuse.error) : target.projection
  const { query } = database
  const cache: RowCache = new Map()
  let { state } = opened
  let folder: BatchFolder | undefined
  let folderBytes = 0
  let rowBytes = 1
  let changedBefore = 0
  /** The position up to which the log was read, and the one up to which the rows reflect it. */
  let read = state.position
  let reached = state.position
  let writing: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let idleMs = idleMoveMs
  let closed = false

  const load = (keys: readonly string[]) => loadRows(query, target, keys, { retry: true, name: `select ${table.name}` })

  /** Evicts rows, but none that the batch being written or the next one has changed: those come last. How much memory a
   *  row takes is known from those that were encoded before. */
  const evict = (changed: number) => {
    const fitting = Math.min(2 * (batchEvents + pageEvents), Math.floor(cacheBytesMax / rowBytes))
    const rowsMax = Math.max(fitting, changed + changedBefore)
    changedBefore = changed
    for (const key of cache.keys()) {
      if (cache.size <= rowsMax) return
      cache.delete(key)
    }
  }

  const write = async (batch: EncodedBatch): Promise<void> => {
    const { position, events } = batch
    const done = await commit({ database, store, writeModel }, target, state, batch)
    if (!done) throw checkpointConflict
    if (done.parkings.length > 0) onParked(done.parkings)
    state = { ...state, position, parked: state.parked + done.parkings.length }
    // Their rows in memory are not those in the table.
    if (done.refused.length > 0) throw checkpointConflict
    reached = position
    onWritten(reached, events, state)
  }

  /** Writes behind what is being written, and not at all when that fails. */
  const begin = (work: () => Promise<void>) => {
    writing = writing.then(work)
    writing.catch(onFailed)
  }

  /** Resolves when nothing is being written. */
  const idle = async () => {
    for (let current: Promise<void> | undefined; current !== writing; ) {
      current = writing
      await current
    }
  }

  const flush = async () => {
    if (!folder) return idle()
    const batch = folder.finish(read)
    folder = undefined
    folderBytes = 0
    evict(batch.rows.length)
    if (batch.isAllRefused) await assertFoldWorks({ store, projection }, batch.parkings)
    const encoded = { ...batch, encoded: table.encode(batch.rows.map(({ row }) => row)) }
    if (batch.rows.length > 0) rowBytes = Math.max(1, encoded.encoded.length / batch.rows.length)
    await idle()
    begin(() => write(encoded))
    // The next page must find these streams parked.
    if (batch.parkings.length > 0) await idle()
  }

  /** Reports that no event up to `read` concerns the read model, and moves the checkpoint there a little later. */
  const skip = async () => {
    await idle()
    if (closed || folder || reached >= read) return
    reached = read
    onWritten(reached, 0, state)
    planMove()
  }

  /** Plans a move, unless one is planned: in a busy log, pages of others come all the time. */
  const planMove = () => {
    timer ??= setTimeout(moveIdle, idleMs).unref()
  }

  const moveIdle = () => {
    timer = undefined
    begin(moveOver)
  }

  /** Moves the checkpoint over events that concern nothing here. Where another process has done so first, both have the same
   *  rows still, unless it is further than this one has read. */
  const moveOver = async (): Promise<void> => {
    const position = reached
    if (closed || folder || position <= state.position) return
    if (await commit({ database, store, writeModel }, target, state, { ...emptyBatch, position })) {
      idleMs = idleMoveMs
      state = { ...state, position }
      return
    }
    idleMs = idleMoveBehindMs
    const found = await readCheckpointState(query, target, store)
    const isOurs = found && found.retries === state.retries && found.parked === state.parked
    if (!isOurs || found.position < state.position) throw checkpointConflict
    if (found.position <= position) state = found
    if (found.position < position) planMove()
  }

  const take: Writer['take'] = async ({ events, position, bytes }, hasMore = false) => {
    if (events.length === 0 && !folder) {
      read = position
      return skip()
    }
    const streams = state.parked > 0 ? events.map(({ stream }) => stream) : undefined
    const parked = streams && (await parkedAmong(query, target, streams))
    folder ??= createBatchFolder({ projection, cache, load })
    const current = folder
    await current.add(events, (stream) => parked?.has(stream) ?? false)
    read = position
    folderBytes += bytes
    if (!hasMore || current.count() >= batchEvents || folderBytes >= batchBytesMax) await flush()
  }

  return {
    take,
    finish: async () => {
      await flush()
      await idle()
      return reached
    },
    state: () => state,
    close: async () => {
      closed = true
      clearTimeout(timer)
      await idle().catch(() => undefined)
    },
  }
}

const emptyBatch = { events: 0, rows: [], parkings: [], isAllRefused: false, held: new Map(), encoded: '[]' }

const refusing = (projection: Projection, error: unknown): Projection => ({
  ...projection,
  key: () => {
    throw error
  },
})

/** Moves the checkpoint, which blocks other runners, and writes the rows in one statement, if the checkpoint is where
 *  it was left. Otherwise resolves to undefined, with nothing written. */
const commit = async (
  dependencies: {
    readonly database: Pick<Database, 'query' | 'transaction'>
    readonly store: Pick<EventStore, 'readAll'>
    readonly writeModel: WriteModel | undefined
  },
  target: ProjectionTarget,
  state: CheckpointState,
  batch: EncodedBatch,
): Promise<BisectedCommit | undefined> => {
  const { position, rows, parkings, held, encoded } = batch
  const { database, writeModel } = dependencies
  const done = { parkings, refused: [] }
  const write = { target, state, position, rows: rows.length, encoded }
  try {
    if (parkings.length === 0 && held.size === 0) {
      const isShared = writeModel !== undefined && target.kind === 'live'
      return (await (isShared ? writeModel(write) : writeAlone(database.query, write))) ? done : undefined
    }
    return await database.transaction('projections.park', async (query) => {
      if (!(await writeAlone(query, write, parkings.length))) return undefined
      await park(query, target, parkings)
      await countHeld(query, target, held)
      return done
    })
  } catch (error) {
    if (!isRowRejected(error)) throw error
    return commitBisecting(dependencies, target, state, batch)
  }
}

/** Resolves to the model with its checkpoint as it is now; to undefined when the model has to be opened anew, because
 *  the checkpoint was moved back or is of another version. */
export const refreshModel = async (
  { query }: Pick<Database, 'query'>,
  { target, state }: OpenedModel,
  store: Pick<EventStore, 'parsePosition'>,
): Promise<OpenedModel | undefined> => {
  const found = await readCheckpointState(query, target, store)
  return found && found.position >= state.position ? { target, state: found } : undefined
}
