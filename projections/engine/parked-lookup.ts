import { isFailure } from '../../domain/errors.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import { type Checkpoint, readCheckpoints } from './checkpoints.ts'
import type { EventRef } from './parked-streams.ts'
import type { PositionTracker } from './position-tracker.ts'

/** How long a caller waits for a read model before it checks whether it is still wanted. */
const waitMs = 250

/** The event from which on a stream is parked. */
export type ParkedFrom = Pick<EventRef, 'revision'>

/** Waits until the live rows of a read model reflect the log up to this position, however long that takes. Resolves to
 *  those of the streams that it has parked; to undefined when the signal aborts. */
export type ParkedLookup = (
  projection: string,
  position: Position,
  streams: Iterable<string>,
  signal: AbortSignal,
) => Promise<ReadonlyMap<string, ParkedFrom> | undefined>

const SERVED = `select s.stream, s.revision from read.checkpoints c
  join read.parked_streams s on s.projection = c.projection and s.version = c.version
  where c.projection = $1 and s.stream = any($2::text[])`

/** Creates the lookup for these read models. A stream is parked where the checkpoint passes its event: as long as none
 *  is parked, one reading of the checkpoint answers all callers up to there. */
export const createParkedLookup = ({
  names,
  query,
  waitFor,
}: {
  readonly names: readonly string[]
  readonly query: Query
  readonly waitFor: PositionTracker['waitFor']
}): ParkedLookup => {
  const readings = new Map<string, Promise<Checkpoint | undefined> | undefined>(names.map((name) => [name, undefined]))

  /** Resolves to whether no stream was parked when the read model was at this position or beyond. */
  const hasNone = async (name: string, position: Position): Promise<boolean> => {
    const known = readings.get(name)
    let found = await known?.catch(() => undefined)
    if (!found || found.position < position) {
      if (readings.get(name) === known)
        readings.set(
          name,
          readCheckpoints(query, [name]).then(([checkpoint]) => checkpoint),
        )
      found = await readings.get(name)
    }
    return found !== undefined && found.position >= position && found.parked === 0
  }

  const parkedAmong = async (name: string, position: Position, streams: Iterable<string>) => {
    await waitFor(position, waitMs, [name])
    if (await hasNone(name, position)) return new Map<string, ParkedFrom>()
    const values = [name, [...new Set(streams)]]
    const rows = await query<ParkedFrom & { stream: string }>('parking.served', SERVED, values, { retry: true })
    return new Map(rows.map(({ stream, revision }) => [stream, { revision }]))
  }

  return async (name, position, streams, signal) => {
    while (!signal.aborted)
      try {
        return await parkedAmong(name, position, streams)
      } catch (error) {
        const isPassing = isFailure(error, 'POSITION_NOT_REACHED') || isFailure(error, 'DATABASE_UNAVAILABLE')
        if (!isPassing) throw error
        await sleep(waitMs, signal)
      }
    return undefined
  }
}
