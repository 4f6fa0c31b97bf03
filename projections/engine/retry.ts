import { Failure } from '../../domain/errors.ts'
import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { errorClassOf } from '../../infra/system/database-errors.ts'
import { weightOf } from '../../infra/system/weight.ts'
import { buildTarget, liveTarget, type ProjectionTarget, readCheckpointState, readCheckpoints } from './checkpoints.ts'
import { createBatchFolder } from './fold-batch.ts'
import {
  type EventRef,
  explainParked,
  failureOf,
  findParked,
  moveParked,
  type ParkedStream,
  type Parking,
  park,
} from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { isRowRejected, selectRows } from './rejected-rows.ts'

/** The most events of a stream that one transaction folds. A longer stream takes several, and stays parked in
 *  between. */
const eventsAtOnceMax = 1_000
const bytesAtOnceMax = 32 * 1024 * 1024

/** `folded`: the stream is parked no more. `parked`: it still is, from this revision on, with the reason. `events` is
 *  the number of waiting events that were folded. */
export type RetryResult =
  | { readonly outcome: 'folded'; readonly events: number }
  | {
      readonly outcome: 'parked'
      readonly code: string
      readonly message: string
      readonly revision: bigint
      readonly events: number
    }

type Dependencies = {
  readonly store: Pick<EventStore, 'readStream' | 'parsePosition'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly projection: Projection
}

/** Folds the waiting events of a parked stream into its current rows. The rows are written and the parking ends in one
 *  transaction. Throws PARKED_STREAM_UNKNOWN, and DATABASE_SCHEMA_NEWER when a newer version has taken over. */
export const retryParked = async (dependencies: Dependencies & { readonly stream: string }): Promise<RetryResult> => {
  const { stream, projection } = dependencies
  const target = await targetOf(dependencies)
  const unknown = new Failure('PARKED_STREAM_UNKNOWN', { projection: projection.name, stream })
  if (!target) throw unknown
  let atOnceMax = eventsAtOnceMax
  for (let events = 0; ; ) {
    const retried = await foldParked(dependencies, target, stream, atOnceMax).catch((error: unknown) => {
      if (isRowRejected(error) || errorClassOf(error) === 'overload')
        return { outcome: 'refused' as const, ...failureOf(error), events: 0 }
      throw error
    })
    if (!retried) throw unknown
    events += retried.events
    if (retried.outcome === 'folded') return { outcome: 'folded', events }
    if (retried.outcome === 'more') continue
    if (retried.outcome === 'parked') return { ...retried, events }
    // With fewer events at once, those before the refused row can be written.
    if (atOnceMax > 1) atOnceMax >>= 1
    else
      return { ...retried, outcome: 'parked', events, revision: await explain(dependencies, target, stream, retried) }
  }
}

/** Updates the reason why a stream is parked, and resolves to the revision from which it is. */
const explain = (
  dependencies: Dependencies,
  target: ProjectionTarget,
  stream: string,
  failure: { code: string; message: string },
) =>
  transaction(dependencies, async (query) => {
    await explainParked(query, target, stream, failure)
    return (await findParked(query, target, stream))?.revision ?? 0n
  })

const transaction = <T>(dependencies: Dependencies, work: (query: Query) => Promise<T>): Promise<T> =>
  dependencies.database.transaction('projections.retry', work)

/** Resolves to the target of this version: the live table or the build. */
export const targetOf = async ({
  database: { query },
  projection,
  store,
}: Dependencies): Promise<ProjectionTarget | undefined> => {
  for (const target of [liveTarget(projection), buildTarget(projection)])
    if (await readCheckpointState(query, target, store)) return target
  const [live] = await readCheckpoints(query, [projection.name])
  if (live && live.version > projection.version)
    throw new Failure('DATABASE_SCHEMA_NEWER', { projection: projection.name, version: String(live.version) })
  return undefined
}

/** Folds waiting events in one transaction. `more`: some events were folded, and more wait. */
const foldParked = (dependencies: Dependencies, target: ProjectionTarget, stream: string, atOnceMax: number) =>
  transaction(dependencies, async (query) => {
    const { store, projection } = dependencies
    const state = await readCheckpointState(query, target, store, { lock: true })
    const parked = state && (await findParked(query, target, stream))
    if (!state || !parked) return undefined
    const range = { from: parked.revision, untilPosition: state.position, limit: atOnceMax + 1 }
    const { found, later } = await readAtOnce(store.readStream(stream, range), atOnceMax)
    const events = found.filter(({ type }) => projection.types.includes(type))
    const load = async (keys: readonly string[]) => ({
      rows: await selectRows(query, target, keys),
      refused: new Map<string, unknown>(),
    })
    const folder = createBatchFolder({ projection, cache: new Map(), load })
    await folder.add(events, () => false)
    const batch = folder.finish(state.position)
    if (batch.rows.length > 0)
      await query('projections.write', target.table.upsert('$1'), [
        target.table.encode(batch.rows.map(({ row }) => row)),
      ])
    const next = batch.parkings[0]
    if (next) return stillParked(query, target, parked, next, events)
    if (!later) {
      await moveParked(query, target, stream, 'folded')
      return { outcome: 'folded' as const, events: events.length }
    }
    const held = Number(parked.held) - events.length
    const error = new Failure('EVENT_NOT_FOLDED', { problem: 'not folded yet: many events of the stream wait' })
    await moveParked(query, target, stream, { event: later, error, held })
    return { outcome: 'more' as const, events: events.length }
  })

/** Resolves to the first events, as many as one transaction folds, and to the one behind them. */
const readAtOnce = async (events: AsyncIterable<StoredEvent>, eventsMax: number) => {
  const found: StoredEvent[] = []
  let bytes = 0
  for await (const event of events) {
    if (found.length >= eventsMax || bytes >= bytesAtOnceMax) return { found, later: event }
    found.push(event)
    bytes += weightOf(event.data)
  }
  return { found, later: undefined }
}

const stillParked = async (
  query: Query,
  target: ProjectionTarget,
  parked: ParkedStream,
  { event, error }: Parking,
  events: readonly EventRef[],
) => {
  const { revision } = event
  const folded = events.findIndex((each) => each.revision === revision)
  const parking = { event, error, held: Number(parked.held) - folded }
  if (folded > 0) await moveParked(query, target, parked.stream, parking)
  else await park(query, target, [parking])
  return { outcome: 'parked' as const, ...failureOf(error), revision, events: folded }
}
