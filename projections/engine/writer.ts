import type { Batch, EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import {
  type CheckpointState,
  moveStatement,
  moveValues,
  type ProjectionTarget,
  readCheckpointState,
} from './checkpoints.ts'
import { countHeld, type Parking, park, parkedAmong } from './parked-streams.ts'
import { type BisectedCommit, commitBisecting, isRowRejected } from './rejected-rows.ts'
import { retryParked } from './retry.ts'
import { createFolding, type Folding, type Memory, type Step } from './step.ts'
import type { OpenedModel } from './versions.ts'

/** A checkpoint moves at most this often while nothing in the log concerns its read model. */
const idleMoveMs = 250

/** What a writer ends with when somebody else has moved the checkpoint, or changed rows: read the log again from there. */
export const lostRace = new Error('somebody else has moved the checkpoint')

export type Writer = {
  /** Folds a page of the log, while what came before is being written; when a batch is full, or no more is there, begins to
   *  write. Throws what made a write fail, and `lostRace`. */
  take(page: Batch, isMoreThere?: boolean): Promise<void>
  /** Resolves to how far the rows reflect the log, when all is written. Throws like `take`. */
  settle(): Promise<Position>
  standing(): CheckpointState
  close(): Promise<void>
}

/** Its rows are made into text while the step before is being written. */
type EncodedStep = Step & { readonly encoded: string }

/** Brings the rows and the checkpoint of one place forward, a statement for each batch. Each write makes sure that the checkpoint
 *  is where it was left: so what is in memory of the rows is true, or the write is lost.
 *  @param pageEvents how many events a page has at most, and `batchEvents` from how many on a batch is full.
 *  @param onWritten the rows reflect the log up to here; how many events that took.
 *  @param onParked streams that were parked with it.
 *  @param onFailed a write has failed or was lost: nothing more is written, and `settle` throws why. */
export const createWriter = (options: {
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly store: Pick<EventStore, 'readStream' | 'parsePosition'>
  readonly opened: OpenedModel
  readonly pageEvents: number
  readonly batchEvents: number
  readonly onWritten: (position: Position, events: number, standing: CheckpointState) => void
  readonly onParked: (parkings: readonly Parking[]) => void
  readonly onFailed: () => void
}): Writer => {
  const { database, store, opened, pageEvents, batchEvents, onWritten, onParked, onFailed } = options
  const { target } = opened
  const { projection, table } = target
  const { query } = database
  const memory: Memory = new Map()
  let { state } = opened
  let folding: Folding | undefined
  /** How far the log was looked through, and how far the rows reflect it. */
  let read = state.position
  let reached = state.position
  let writing: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const load = async (keys: readonly string[]) => {
    const options = { retry: true, name: `select ${table.name}` }
    const label = `projections.${projection.name}.select`
    const found = await query<Record<string, unknown>>(label, table.selectByIds, [keys], options)
    return found.map((raw) => table.decode(raw))
  }

  /** Keeps what the step that is being written and the next one have touched: those stand last. */
  const forget = () => {
    for (const key of memory.keys()) {
      if (memory.size <= 2 * (batchEvents + pageEvents)) return
      memory.delete(key)
    }
  }

  const write = async (step: EncodedStep): Promise<void> => {
    const { position, events } = step
    const done = await commit({ database, store }, target, state, step)
    if (!done) throw lostRace
    if (done.parkings.length > 0) onParked(done.parkings)
    state = { ...state, position, parked: state.parked + done.parkings.length }
    if (done.refused.length > 0) {
      // They were parked before all that the step has of them; their rows shall be as the last good event has left them.
      for (const stream of done.refused) await retryParked({ store, database, projection, stream })
      throw lostRace
    }
    reached = position
    onWritten(reached, events, state)
  }

  const begin = (step: EncodedStep) => {
    writing = write(step)
    writing.catch(onFailed)
  }

  /** Until nothing is being written; what is done after it, before the next await, is alone. */
  const settled = async () => {
    for (let current: Promise<void> | undefined; current !== writing; ) {
      current = writing
      await current
    }
  }

  const flush = async () => {
    if (!folding) return settled()
    const step = folding.finish(read)
    folding = undefined
    forget()
    const encoded = { ...step, encoded: table.encode(step.rows.map(({ row }) => row)) }
    await settled()
    begin(encoded)
    // The next page must find these streams parked.
    if (step.parkings.length > 0) await settled()
  }

  /** Nothing concerns the read model up to here. */
  const look = async () => {
    await settled()
    if (closed || folding || reached >= read) return
    reached = read
    onWritten(reached, 0, state)
    clearTimeout(timer)
    timer = setTimeout(moveIdle, idleMoveMs).unref()
  }

  const moveIdle = () => {
    const move = async () => {
      await settled()
      if (!closed && !folding && reached > state.position) begin({ ...emptyStep, position: reached })
    }
    move().catch(() => undefined)
  }

  const take: Writer['take'] = async ({ events, position }, isMoreThere = false) => {
    clearTimeout(timer)
    if (events.length === 0 && !folding) {
      read = position
      return look()
    }
    const streams = state.parked > 0 ? events.map(({ stream }) => stream) : undefined
    const parked = streams && (await parkedAmong(query, target, streams))
    folding ??= createFolding({ projection, memory, load })
    const current = folding
    await current.add(events, (stream) => parked?.has(stream) ?? false)
    read = position
    if (!isMoreThere || current.count() >= batchEvents) await flush()
  }

  return {
    take,
    settle: async () => {
      await flush()
      await settled()
      return reached
    },
    standing: () => state,
    close: async () => {
      closed = true
      clearTimeout(timer)
      await settled().catch(() => undefined)
    },
  }
}

const emptyStep = { events: 0, rows: [], parkings: [], held: new Map(), encoded: '[]' }

/** One statement: the checkpoint is moved, which locks out other runners, and the rows are written if it was where we thought.
 *  Undefined, and nothing is written, when it was not. */
const commit = async (
  parts: { readonly database: Pick<Database, 'query' | 'transaction'>; readonly store: Pick<EventStore, 'readStream'> },
  place: ProjectionTarget,
  standing: CheckpointState,
  step: EncodedStep,
): Promise<BisectedCommit | undefined> => {
  const { position, rows, parkings, held, encoded } = step
  const { database } = parts
  const { table } = place
  const values = moveValues(place, standing, position, parkings.length)
  const done = { parkings, refused: [] }
  const write = async (query: Query) =>
    rows.length === 0
      ? query('projections.move', moveStatement(place), values)
      : query('projections.write', writeStatement(place), [...values, encoded], { name: `write ${table.name}` })
  try {
    if (parkings.length === 0 && held.size === 0) return (await write(database.query)).length > 0 ? done : undefined
    return await database.transaction('projections.park', async (query) => {
      if ((await write(query)).length === 0) return undefined
      await park(query, place, parkings)
      await countHeld(query, place, held)
      return done
    })
  } catch (error) {
    if (!isRowRejected(error)) throw error
    return commitBisecting(parts, place, standing, step)
  }
}

const writeStatement = (place: ProjectionTarget): string =>
  `with moved as (${moveStatement(place)}), written as (${place.table.upsert('$7', 'moved')}) select projection from moved`

/** Where the place stands now; undefined when it has to be opened anew: it was put back, or is of another version. */
export const standAfter = async (
  { query }: Pick<Database, 'query'>,
  { target, state }: OpenedModel,
  store: Pick<EventStore, 'parsePosition'>,
): Promise<OpenedModel | undefined> => {
  const found = await readCheckpointState(query, target, store)
  return found && found.position >= state.position ? { target, state: found } : undefined
}
