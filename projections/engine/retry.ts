import { Failure } from '../../domain/errors.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database, Query } from '../../infra/postgres.ts'
import { buildTarget, liveTarget, type ProjectionTarget, readCheckpointState, readCheckpoints } from './checkpoints.ts'
import {
  type EventRef,
  explainParked,
  failureOf,
  findParked,
  listParked,
  moveParked,
  type ParkedStream,
  type Parking,
  park,
} from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { isRowRejected } from './rejected-rows.ts'
import { createFolding } from './step.ts'

/** So many events of a stream are folded in one transaction; a longer one takes several, and stays parked in between. */
const eventsAtOnceMax = 1_000
const pageStreams = 100

/** `folded`: the stream goes on. `parked`: it still cannot, from this revision on, and why. `events` were folded that had waited. */
export type Retried =
  | { readonly outcome: 'folded'; readonly events: number }
  | {
      readonly outcome: 'parked'
      readonly code: string
      readonly message: string
      readonly revision: bigint
      readonly events: number
    }

type Parts = {
  readonly store: Pick<EventStore, 'readStream' | 'parsePosition'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly projection: Projection
}

/** Folds what a parked stream holds back, from the row as it stands; the rows are written and the stream is parked no more in
 *  one transaction. Throws PARKED_STREAM_UNKNOWN, and DATABASE_SCHEMA_NEWER when a newer version has taken over. */
export const retryParked = async (parts: Parts & { readonly stream: string }): Promise<Retried> => {
  const { stream, projection } = parts
  const place = await placeOf(parts)
  const unknown = new Failure('PARKED_STREAM_UNKNOWN', { projection: projection.name, stream })
  if (!place) throw unknown
  let atOnceMax = eventsAtOnceMax
  for (let events = 0; ; ) {
    const retried = await foldParked(parts, place, stream, atOnceMax).catch((error: unknown) => {
      if (isRowRejected(error)) return { outcome: 'refused' as const, ...failureOf(error), events: 0 }
      throw error
    })
    if (!retried) throw unknown
    events += retried.events
    if (retried.outcome === 'folded') return { outcome: 'folded', events }
    if (retried.outcome === 'more') continue
    if (retried.outcome === 'parked') return { ...retried, events }
    // Of fewer events at once, those before the one that is refused are taken.
    if (atOnceMax > 1) atOnceMax >>= 1
    else return { ...retried, outcome: 'parked', events, revision: await explain(parts, place, stream, retried) }
  }
}

/** Says of a parked stream why it still is. */
const explain = (parts: Parts, place: ProjectionTarget, stream: string, failure: { code: string; message: string }) =>
  database(parts, async (query) => {
    await explainParked(query, place, stream, failure)
    return (await findParked(query, place, stream))?.revision ?? 0n
  })

const database = <T>(parts: Parts, work: (query: Query) => Promise<T>): Promise<T> =>
  parts.database.transaction('projections.retry', work)

/** Retries all parked streams of a place, one after the other; answers with how many go on. */
export const retryAllParked = async (
  parts: Parts & { readonly place: ProjectionTarget; readonly signal: AbortSignal },
) => {
  const { place, signal, projection } = parts
  let after = ''
  let folded = 0
  while (!signal.aborted) {
    const page = await listParked(parts.database.query, place, { after, limit: pageStreams })
    for (const { stream } of page) {
      if (signal.aborted) break
      const retried = await retryParked({ ...parts, projection, stream })
      if (retried.outcome === 'folded') folded += 1
    }
    const last = page.at(-1)
    if (page.length < pageStreams || !last) break
    after = last.stream
  }
  return folded
}

/** Where this version stands: read, or being built. */
const placeOf = async ({ database: { query }, projection, store }: Parts): Promise<ProjectionTarget | undefined> => {
  for (const place of [liveTarget(projection), buildTarget(projection)])
    if (await readCheckpointState(query, place, store)) return place
  const [live] = await readCheckpoints(query, [projection.name])
  if (live && live.version > projection.version)
    throw new Failure('DATABASE_SCHEMA_NEWER', { projection: projection.name, version: String(live.version) })
  return undefined
}

/** One transaction. `more`: some was folded, and more waits. */
const foldParked = (parts: Parts, place: ProjectionTarget, stream: string, atOnceMax: number) =>
  database(parts, async (query) => {
    const { store, projection } = parts
    const standing = await readCheckpointState(query, place, store, { lock: true })
    const parked = standing && (await findParked(query, place, stream))
    if (!standing || !parked) return undefined
    const range = { from: parked.revision, untilPosition: standing.position, limit: atOnceMax + 1 }
    const found = await Array.fromAsync(store.readStream(stream, range))
    const events = found.slice(0, atOnceMax).filter(({ type }) => projection.types.includes(type))
    const folding = createFolding({ projection, memory: new Map(), load: (keys) => loadRows(query, place, keys) })
    await folding.add(events, () => false)
    const step = folding.finish(standing.position)
    if (step.rows.length > 0)
      await query('projections.write', place.table.upsert('$1'), [place.table.encode(step.rows.map(({ row }) => row))])
    const next = step.parkings[0]
    if (next) return stillParked(query, place, parked, next, events)
    const later = found[atOnceMax]
    if (!later) {
      await moveParked(query, place, stream, 'folded')
      return { outcome: 'folded' as const, events: events.length }
    }
    const held = Number(parked.held) - events.length
    const error = new Failure('EVENT_NOT_FOLDED', { problem: 'not folded yet: what the stream holds back is long' })
    await moveParked(query, place, stream, { event: later, error, held })
    return { outcome: 'more' as const, events: events.length }
  })

const stillParked = async (
  query: Query,
  place: ProjectionTarget,
  parked: ParkedStream,
  { event, error }: Parking,
  events: readonly EventRef[],
) => {
  const { revision } = event
  const folded = events.findIndex((each) => each.revision === revision)
  const parking = { event, error, held: Number(parked.held) - folded }
  if (folded > 0) await moveParked(query, place, parked.stream, parking)
  else await park(query, place, [parking])
  return { outcome: 'parked' as const, ...failureOf(error), revision, events: folded }
}

const loadRows = async (query: Query, { table }: ProjectionTarget, keys: readonly string[]) =>
  (await query<Record<string, unknown>>('projections.retry.select', table.selectByIds, [keys])).map((raw) =>
    table.decode(raw),
  )
