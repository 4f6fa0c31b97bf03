import { chunksOf } from '../../infra/async/chunks.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { atOnce, type CatchUp, inPieces } from './catch-up.ts'
import type { ParkedLookup } from './parked-lookup.ts'
import type { Projection } from './projection.ts'
import type { StreamFolds } from './stream-folds.ts'
import type { AnyRow } from './table.ts'

const batchSize = 100
/** How many events of a batch are folded one after the other: each may need a read of its stream. */
const eventsPerPiece = 20

/** `type` is the type of the event, or `Snapshot` for the row at the beginning of the subscription. A subscription that
 *  resumes after `position` yields what follows this update. */
export type Update<Row> = { readonly position: Position; readonly type: string; readonly row: Row }

/** Yields the changes of a read model straight from the log: each update carries the row as of its event. With `after`,
 *  first those since that position, then live ones. Without `after`, first the current rows of the given stream, then
 *  live changes; without a stream too, live changes alone. Each update comes when the read model has it too: a stream
 *  is left out from the event on that cannot be read or folded, or whose row the database refuses, and the others go on.
 *  Reads at the pace of the caller. Ends when the signal aborts; throws what the store throws.
 *  @param folds shared by all subscriptions, so that each event is folded once.
 *  @param stream yields only changes by events of this stream.
 *  @param catchUp runs the pieces of what is not live: at once, by default. */
export async function* updates<Row extends AnyRow>(options: {
  readonly store: Pick<EventStore, 'subscribe' | 'head' | 'readStream'>
  readonly folds: StreamFolds
  /** Of the read model in the database. */
  readonly parkedAsOf: ParkedLookup
  readonly projection: Projection<Row>
  readonly after?: Position | undefined
  readonly stream?: string | undefined
  readonly matches?: ((row: Row) => boolean) | undefined
  readonly catchUp?: CatchUp | undefined
  readonly signal: AbortSignal
}): AsyncGenerator<Update<Row>, void, undefined> {
  const { store, folds, parkedAsOf, projection, stream, matches = () => true, catchUp = atOnce, signal } = options
  const { name } = projection
  const after = options.after ?? (await store.head())
  if (options.after === undefined && stream !== undefined) {
    const parked = await parkedAsOf(name, after, [stream], signal)
    if (!parked) return
    const untilPosition = await lastShown(store, stream, parked.get(stream)?.revision, after)
    const rows = untilPosition && (await catchUp(() => folds.fold({ projection, stream, untilPosition }))).rows
    for (const row of rows?.values() ?? []) if (matches(row)) yield { position: after, type: 'Snapshot', row }
  }
  const filter = { types: projection.types, ...(stream !== undefined && { streamPrefix: stream }) }
  for await (const { batch, run } of inPieces(store, {
    ...filter,
    after,
    batchSize,
    signal,
    catchUp: options.after ? catchUp : atOnce,
  })) {
    const events = batch.events.filter((stored) => stream === undefined || stored.stream === stream)
    const last = events.at(-1)
    if (!last) continue
    const streams = events.map((stored) => stored.stream)
    const parked = await parkedAsOf(name, last.position, streams, signal)
    if (!parked) return
    const updatesOf = async (stored: StoredEvent): Promise<Update<Row>[]> => {
      const { position, type, revision } = stored
      if (revision >= (parked.get(stored.stream)?.revision ?? Number.POSITIVE_INFINITY)) return []
      const rows = [...((await folds.rowsAfter(projection, stored))?.values() ?? [])]
      return rows.flatMap((row) => (row.position === position && matches(row) ? [{ position, type, row }] : []))
    }
    for (const piece of chunksOf(events, eventsPerPiece)) {
      const found = await run(async () => {
        const all: Update<Row>[] = []
        for (const stored of signal.aborted ? [] : piece) all.push(...(await updatesOf(stored)))
        return all
      })
      for (const update of found) {
        if (signal.aborted) return
        yield update
      }
    }
  }
}

/** Resolves to the position until which the stream is shown: `head`, or that of the event before it was parked;
 *  undefined when it was parked at its first event. */
const lastShown = async (
  store: Pick<EventStore, 'readStream'>,
  stream: string,
  parkedFrom: bigint | undefined,
  head: Position,
): Promise<Position | undefined> => {
  if (parkedFrom === undefined) return head
  if (parkedFrom === 0n) return undefined
  for await (const { position } of store.readStream(stream, { from: parkedFrom - 1n, limit: 1 }))
    return position < head ? position : head
  return head
}
