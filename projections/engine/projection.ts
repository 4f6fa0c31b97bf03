import { type DomainEvent, decodeDomainEvent, idOf } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import { type AnyRow, accessTo, type ReadTable, type TableAccess } from './table.ts'

/** What the log stores about an event besides its fields. `id` is the id of the aggregate. */
export type EventMetadata = {
  readonly id: string
  readonly eventId: string
  readonly stream: string
  readonly revision: bigint
  readonly position: Position
  readonly time: string
  readonly commandId: string
  readonly correlationId: string
  readonly causationId: string
  readonly actor: string
}

/** A row without the columns that every projection fills by itself: the key, and the event that last changed the
 *  row. */
export type Body<Row> = Omit<Row, keyof AnyRow>

type Folds<Event extends { type: string }, Row> = {
  readonly [Type in Event['type']]: (
    row: Row | undefined,
    event: Extract<Event, { type: Type }>,
    metadata: EventMetadata,
  ) => Body<Row> | undefined
}

/** One read model as pure functions: they make the next row from a row and an event. Each row is folded from one stream
 *  alone, so the fold of that stream up to a moment is the row as of that moment. */
export type Projection<Row extends AnyRow = AnyRow> = {
  readonly name: string
  /** Increased when a fold changes; the runner then builds the table anew. */
  readonly version: number
  readonly table: TableAccess
  /** The event types that have a fold. */
  readonly types: readonly string[]
  /** True when no event ever changes the row of another event: then no row is read before it is written. */
  readonly rowsNeverChange: boolean
  /** Returns the id of the row that an event changes; undefined when it changes none. */
  key(event: DomainEvent, metadata: EventMetadata): string | undefined
  /** Returns the changed row, or the same row when the event changes nothing in it. Throws when the history is
   *  impossible. */
  fold(row: Row | undefined, event: DomainEvent, metadata: EventMetadata, key: string): Row | undefined
}

/** Declares a read model with one fold per event type; leaving one out does not compile. A fold that returns its own
 *  row, or undefined, changes nothing. */
export const projection = <Event extends { type: string }, Row extends AnyRow>(definition: {
  readonly name: string
  readonly version: number
  readonly table: ReadTable
  /** True when each event makes its own row: then no row is read before it is written. */
  readonly rowsNeverChange?: boolean
  readonly key: (event: Event, metadata: EventMetadata) => string | undefined
  readonly fold: Folds<Event, Row>
}): Projection<Row> => {
  const table = accessTo(definition.table)
  type AnyFold = (row: Row | undefined, event: DomainEvent, metadata: EventMetadata) => Body<Row> | undefined
  const folds = new Map(Object.entries(definition.fold as unknown as Record<string, AnyFold>))
  return {
    name: definition.name,
    version: definition.version,
    table,
    types: [...folds.keys()],
    rowsNeverChange: definition.rowsNeverChange ?? false,
    key: (event, metadata) => definition.key(event as unknown as Event, metadata),
    fold: (row, event, metadata, id) => {
      const body = folds.get(event.type)?.(row, event, metadata)
      if (body === undefined || body === row) return row
      return table.normalize({ ...body, id, position: metadata.position, updatedAt: metadata.time } as unknown as Row)
    },
  }
}

/** Returns the row that an event changes. Throws when there is none: the log has a change before the beginning. */
export const existing = <Row>(row: Row | undefined, { stream, revision }: EventMetadata): Row => {
  if (row === undefined) throw new Error(`History is corrupt: event ${revision} of ${stream} finds no row to change`)
  return row
}

/** Decodes one event of the log. Throws EVENT_UNREADABLE. */
export const decodeStored = (stored: StoredEvent): { event: DomainEvent; metadata: EventMetadata } => {
  const { id: eventId, stream, revision, position, type, data } = stored
  const { schemaVersion: version, time, commandId, correlationId, causationId, actor } = stored.metadata
  try {
    const event = decodeDomainEvent({ type, version, data })
    const id = idOf(stream)
    const metadata = { id, eventId, stream, revision, position, time, commandId, correlationId, causationId, actor }
    return { event, metadata }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, { ...error.details, stream, revision: String(revision) }, error)
  }
}

/** Folds one event into the rows by key. Returns the row if it changed. */
export const foldInto = <Row extends AnyRow>(
  projection: Projection<Row>,
  rows: Map<string, Row>,
  event: DomainEvent,
  metadata: EventMetadata,
): Row | undefined => {
  const key = projection.key(event, metadata)
  if (key === undefined) return undefined
  const before = rows.get(key)
  const after = projection.fold(before, event, metadata, key)
  if (after === undefined || after === before) return undefined
  rows.set(key, after)
  return after
}

/** A position of the log or a time (ISO 8601 in UTC, milliseconds). The event at exactly this moment is included. */
export type PastMoment = { readonly position: Position } | { readonly time: string }
