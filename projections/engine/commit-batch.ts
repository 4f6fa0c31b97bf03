import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { CheckpointState, ProjectionTarget } from './checkpoints.ts'
import type { FoldedBatch } from './fold-batch.ts'
import { type GroupWriter, writeAlone } from './group-writer.ts'
import { countHeld, park } from './parked-streams.ts'
import { type BisectedCommit, commitBisecting, isRowRejected } from './rejected-rows.ts'

/** A batch with its rows encoded as JSON text. */
export type EncodedBatch = FoldedBatch & { readonly encoded: string }

/** A batch of events that concern nothing here: it moves the checkpoint alone. */
export const emptyBatch = { events: 0, rows: [], parkings: [], isAllRefused: false, held: new Map(), encoded: '[]' }

/** Moves the checkpoint, which blocks other runners, and writes the rows in one statement, if the checkpoint is where
 *  it was left. Otherwise resolves to undefined, with nothing written. */
export const commitBatch = async (
  dependencies: {
    readonly database: Pick<Database, 'query' | 'transaction'>
    readonly store: Pick<EventStore, 'readAll'>
    readonly group: GroupWriter | undefined
  },
  target: ProjectionTarget,
  state: CheckpointState,
  batch: EncodedBatch,
): Promise<BisectedCommit | undefined> => {
  const { position, rows, parkings, held, encoded } = batch
  const { database, group } = dependencies
  const done = { parkings, refused: [] }
  const write = { target, state, position, rows: rows.length, encoded }
  try {
    if (parkings.length === 0 && held.size === 0)
      return (await (group ? group.write(write) : writeAlone(database.query, write))) ? done : undefined
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
