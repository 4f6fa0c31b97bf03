import { createLater } from '../../infra/async/later.ts'
import type { Batch, EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { type CheckpointState, readCheckpointState } from './checkpoints.ts'
import { commitBatch, type EncodedBatch, emptyBatch } from './commit-batch.ts'
import { assertFoldWorks } from './defects.ts'
import { type BatchFolder, createBatchFolder, type RowCache } from './fold-batch.ts'
import type { GroupWriter } from './group-writer.ts'
import { type Parking, parkedAmong } from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { loadRows, selectWithStanding } from './rejected-rows.ts'
import type { OpenedModel } from './versions.ts'

/** A batch is full with so many bytes of events, and the rows in memory take about so many. */
const batchBytesMax = 16 * 1024 * 1024
const cacheBytesMax = 32 * 1024 * 1024
/** How long a checkpoint stands while no event of the log concerns its read model, and how long for a process that another
 *  one is ahead of: that one goes on, and this one takes its place, at its second try, when it has ended. */
const idleMoveMs = 250
const idleMoveBehindMs = 1_000
/** How often a checkpoint that was not moved since is looked at. A crash of the database may lose the commits of its last
 *  600 ms, which is three times its `wal_writer_delay`, and a failover more. */
const lookMs = 1_000

/** Returns the milliseconds to the look after the next half of that time: all writers of a process look at the same
 *  moments, so that their checkpoints are read together. */
const untilNextLook = (): number => 1.5 * lookMs - ((performance.now() + lookMs / 2) % lookMs)

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

/** Creates the writer that moves the rows and the checkpoint of one target forward, with one statement for each batch.
 *  Each write succeeds only if the checkpoint is where the writer left it: so either the cached rows are current, or
 *  nothing is written.
 *  @param refuse the error with which every event is refused: the database could not write it alone.
 *  @param pageEvents the most events of a page; `batchEvents` is the number from which on a batch is full.
 *  @param onWritten called when the rows reflect the log up to a position, with the number of events folded for it.
 *  @param onMoved called when the database has taken a move of the checkpoint, by this writer or by another one.
 *  @param onParked called with the streams that a batch has parked.
 *  @param onFailed called when a write has failed or found a conflict: nothing more is written, and `finish` throws the
 *  reason. */
export const createWriter = (options: {
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly store: Pick<EventStore, 'readStream' | 'readAll' | 'parsePosition'>
  /** Writes what needs one statement, perhaps together with other read models. */
  readonly group?: GroupWriter | undefined
  readonly opened: OpenedModel
  readonly refuse?: { readonly error: unknown } | undefined
  readonly pageEvents: number
  readonly batchEvents: number
  readonly onWritten: (position: Position, events: number, state: CheckpointState) => void
  readonly onMoved: () => void
  readonly onParked: (parkings: readonly Parking[]) => void
  readonly onFailed: () => void
}): Writer => {
  const { database, store, opened, refuse, pageEvents, batchEvents, onWritten, onMoved, onParked, onFailed } = options
  const { target } = opened
  const { table } = target
  const projection = refuse ? refusing(target.projection, refuse.error) : target.projection
  const { query } = database
  const group = target.kind === 'live' ? options.group : undefined
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
  let writingRows = writing
  /** Where the write that is under way moves the checkpoint to. */
  let aimed = state.position
  let idleMs = idleMoveMs
  let isFolderOld = false
  /** True when the checkpoint was moved since a look at it was due. */
  let isFresh = false
  let closed = false

  /** Throws a conflict for rows of another checkpoint than this writer's: another process has written them, and a crash of
   *  the database could put the checkpoint back to where this one left it. */
  const load = (keys: readonly string[]) => {
    const { position, retries } = state
    const own = [position, aimed]
    return loadRows(async (some) => {
      const { standing, rows } = await selectWithStanding(query, target, some)
      if (standing?.retries !== retries || !own.includes(standing.position as Position)) throw checkpointConflict
      return rows
    }, keys)
  }

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
    aimed = position
    const done = await commitBatch({ database, store, group }, target, state, batch)
    if (!done) throw checkpointConflict
    if (done.parkings.length > 0) onParked(done.parkings)
    moved({ ...state, position, parked: state.parked + done.parkings.length })
    // Their rows in memory are not those in the table.
    if (done.refused.length > 0) throw checkpointConflict
    reached = position
    onWritten(reached, events, state)
  }

  const moved = (to: CheckpointState) => {
    state = to
    isFresh = true
    onMoved()
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
    isFolderOld = false
    evict(batch.rows.length)
    if (batch.isAllRefused) await assertFoldWorks({ store, projection }, batch.parkings)
    const encoded = { ...batch, encoded: table.encode(batch.rows.map(({ row }) => row)) }
    if (batch.rows.length > 0) rowBytes = Math.max(1, encoded.encoded.length / batch.rows.length)
    await idle()
    begin(() => write(encoded))
    writingRows = writing
    // The next page must find these streams parked.
    if (batch.parkings.length > 0) await idle()
  }

  /** Reports that no event up to `read` concerns the read model, and moves the checkpoint there a little later: callers
   *  that wait for this position need rows only. */
  const skip = async () => {
    // A move that has failed ends here; one that is under way is not waited for.
    await Promise.race([writing, writingRows])
    if (closed || reached >= read) return
    reached = read
    onWritten(reached, 0, state)
    moves.ask(idleMs)
  }

  const moves = createLater(() => {
    if (folder) isFolderOld = true
    else begin(moveOver)
  })

  /** Moves the checkpoint over events that concern nothing here. Where another process has done so first, both have the same
   *  rows still, unless it is further than this one has read. */
  const moveOver = async (): Promise<void> => {
    const position = reached
    if (closed || folder || position <= state.position) return
    aimed = position
    if (await commitBatch({ database, store, group }, target, state, { ...emptyBatch, position })) {
      idleMs = idleMoveMs
      return moved({ ...state, position })
    }
    idleMs = idleMoveBehindMs
    aimed = state.position
    const found = await readCheckpointState(query, target, store)
    const isOurs = found && found.retries === state.retries && found.parked === state.parked
    if (!isOurs || found.position < state.position) throw checkpointConflict
    onMoved()
    if (found.position > position) return
    state = found
    aimed = found.position
    if (found.position < position) moves.ask(idleMs)
  }

  /** Resolves to true when a crash of the database has put the checkpoint back. A reading that fails proves nothing. */
  const isPutBack = async (): Promise<boolean> => {
    const { position, retries } = state
    const { name, version } = target.projection
    try {
      const found = await group?.readCheckpoint(name)
      return found?.version !== version || found.retries !== retries || found.position < position
    } catch {
      return false
    }
  }

  // An event that would show it by a conflict may not come for long.
  const looks = createLater(async () => {
    const isLost = !isFresh && (await isPutBack())
    isFresh = false
    if (closed) return
    if (isLost) begin(() => Promise.reject(checkpointConflict))
    else looks.ask(untilNextLook())
  })
  if (group) looks.ask(untilNextLook())

  const take: Writer['take'] = async ({ events, position, bytes }, hasMore = false) => {
    if (events.length === 0 && !folder) {
      read = position
      return skip()
    }
    const streams = state.parked > 0 ? events.map(({ stream }) => stream) : undefined
    const parked = streams && (await parkedAmong(query, target, streams))
    if (!folder) moves.ask(idleMs)
    folder ??= createBatchFolder({ projection, cache, load })
    const current = folder
    await current.add(events, (stream) => parked?.has(stream) ?? false)
    read = position
    folderBytes += bytes
    const isFull = current.count() >= batchEvents || folderBytes >= batchBytesMax
    if (!hasMore || isFull || (isFolderOld && events.length === 0)) await flush()
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
      await idle().catch(() => undefined)
      moves.cancel()
      looks.cancel()
    },
  }
}

const refusing = (projection: Projection, error: unknown): Projection => ({
  ...projection,
  key: () => {
    throw error
  },
})

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
