import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Projection } from './projection.ts'
import type { StreamFolds } from './stream-folds.ts'
import type { AnyRow } from './table.ts'

const batchSize = 100

/** `type` is the type of the event, or `Snapshot` for the row at the beginning of the subscription. A subscription that
 *  resumes after `position` yields what follows this update. */
export type Update<Row> = { readonly position: Position; readonly type: string; readonly row: Row }

/** Yields the changes of a read model straight from the log: each update carries the row as of its event. With `after`,
 *  first those since that position, then live ones. Without `after`, first the current rows of the given stream, then
 *  live changes; without a stream too, live changes alone. A stream is parked from an event on that cannot be read or
 *  folded, as in the read model: the others go on. Reads at the pace of the caller. Ends when the signal aborts; throws
 *  what the store throws.
 *  @param folds shared by all subscriptions, so that each event is folded once.
 *  @param stream yields only changes by events of this stream. */
export async function* updates<Row extends AnyRow>(options: {
  readonly store: Pick<EventStore, 'subscribe' | 'head'>
  readonly folds: StreamFolds
  readonly projection: Projection<Row>
  readonly after?: Position | undefined
  readonly stream?: string | undefined
  readonly matches?: ((row: Row) => boolean) | undefined
  readonly signal: AbortSignal
}): AsyncGenerator<Update<Row>, void, undefined> {
  const { store, folds, projection, stream, matches = () => true, signal } = options
  const after = options.after ?? (await store.head())
  if (options.after === undefined && stream !== undefined) {
    const { rows } = await folds.fold({ projection, stream, untilPosition: after })
    for (const row of rows.values()) if (matches(row)) yield { position: after, type: 'Snapshot', row }
  }
  const filter = { types: projection.types, ...(stream !== undefined && { streamPrefix: stream }) }
  for await (const batch of store.subscribe({ ...filter, after, batchSize, signal }))
    for (const stored of batch.events) {
      if (signal.aborted) return
      if (stream !== undefined && stored.stream !== stream) continue
      const { position, type } = stored
      for (const row of (await folds.rowsAfter(projection, stored))?.values() ?? [])
        if (row.position === position && matches(row)) yield { position, type, row }
    }
}
