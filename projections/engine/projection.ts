import { type DomainEvent, decodeDomainEvent, idOf } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { type AnyRow, accessTo, type ReadTable, type TableAccess } from './table.ts'

/** What the log knows about an event besides its fields. `id` is the aggregate's. */
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

/** A row without what the projection itself writes into it: the key, and the event that last changed it. */
export type Body<Row> = Omit<Row, keyof AnyRow>

type Folds<Event extends { type: string }, Row> = {
  readonly [Type in Event['type']]: (
    row: Row | undefined,
    event: Extract<Event, { type: Type }>,
    recorded: EventMetadata,
  ) => Body<Row> | undefined
}

/** One read model. Pure: the row that follows from a row and an event. Each row is folded from one stream alone, so the
 *  fold of that stream up to a moment is the row as of that moment. */
export type Projection<Row extends AnyRow = AnyRow> = {
  readonly name: string
  /** A changed fold is a new version; the runner then builds the table anew. */
  readonly version: number
  readonly table: TableAccess
  /** The event types that the fold knows. */
  readonly types: readonly string[]
  /** True when no event ever changes a row that another one has made: then no row is read before it is written. */
  readonly rowsNeverChange: boolean
  /** The id of the row that an event changes; undefined when it changes none. */
  key(event: DomainEvent, recorded: EventMetadata): string | undefined
  /** The same row when the event changes nothing in it. Throws when history could not have happened. */
  fold(row: Row | undefined, event: DomainEvent, recorded: EventMetadata, key: string): Row | undefined
}

/** Declares a read model: one fold per event type, and leaving one out does not compile. A fold that answers with the row
 *  it was given, or with undefined, says that the event changes nothing. */
export const projection = <Event extends { type: string }, Row extends AnyRow>(definition: {
  readonly name: string
  readonly version: number
  readonly table: ReadTable
  /** Each event makes a row of its own, so nothing needs to be read before writing. */
  readonly rowsNeverChange?: boolean
  readonly key: (event: Event, recorded: EventMetadata) => string | undefined
  readonly fold: Folds<Event, Row>
}): Projection<Row> => {
  const table = accessTo(definition.table)
  type AnyFold = (row: Row | undefined, event: DomainEvent, recorded: EventMetadata) => Body<Row> | undefined
  const folds = new Map(Object.entries(definition.fold as unknown as Record<string, AnyFold>))
  return {
    name: definition.name,
    version: definition.version,
    table,
    types: [...folds.keys()],
    rowsNeverChange: definition.rowsNeverChange ?? false,
    key: (event, recorded) => definition.key(event as unknown as Event, recorded),
    fold: (row, event, recorded, id) => {
      const body = folds.get(event.type)?.(row, event, recorded)
      if (body === undefined || body === row) return row
      return table.normalize({ ...body, id, position: recorded.position, updatedAt: recorded.time } as unknown as Row)
    },
  }
}

/** The row that an event must find. Throws when the log has a change before the beginning. */
export const existing = <Row>(row: Row | undefined, { stream, revision }: EventMetadata): Row => {
  if (row === undefined) throw new Error(`History is corrupt: event ${revision} of ${stream} finds no row to change`)
  return row
}

/** Reads one event of the log. Throws EVENT_UNREADABLE. */
export const decodeStored = (stored: StoredEvent): { event: DomainEvent; recorded: EventMetadata } => {
  const { id: eventId, stream, revision, position, type, data } = stored
  const { schemaVersion: version, time, commandId, correlationId, causationId, actor } = stored.metadata
  try {
    const event = decodeDomainEvent({ type, version, data })
    const id = idOf(stream)
    const recorded = { id, eventId, stream, revision, position, time, commandId, correlationId, causationId, actor }
    return { event, recorded }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, { ...error.details, stream, revision: String(revision) }, error)
  }
}

/** Folds one event into the rows by key. Answers with the row when it changed. */
export const foldInto = <Row extends AnyRow>(
  projection: Projection<Row>,
  rows: Map<string, Row>,
  event: DomainEvent,
  recorded: EventMetadata,
): Row | undefined => {
  const key = projection.key(event, recorded)
  if (key === undefined) return undefined
  const before = rows.get(key)
  const after = projection.fold(before, event, recorded, key)
  if (after === undefined || after === before) return undefined
  rows.set(key, after)
  return after
}

/** The rows that follow from these events, by key: of a stream up to a moment, they are the rows as of that moment. */
export const foldStream = <Row extends AnyRow>(
  projection: Projection<Row>,
  events: Iterable<StoredEvent>,
): Map<string, Row> => {
  const rows = new Map<string, Row>()
  for (const stored of events) {
    if (!projection.types.includes(stored.type)) continue
    const { event, recorded } = decodeStored(stored)
    foldInto(projection, rows, event, recorded)
  }
  return rows
}

/** A position of the log or a time (ISO 8601 in UTC, milliseconds). What happened at this very moment belongs to it. */
export type PastMoment = { readonly position: Position } | { readonly time: string }

/** The rows of one stream as of a position or a time; now when neither is given. */
export const rowsAsOf = async <Row extends AnyRow>(question: {
  readonly store: Pick<EventStore, 'readStream'>
  readonly projection: Projection<Row>
  readonly stream: string
  readonly untilPosition?: Position
  readonly untilTime?: string
}): Promise<Map<string, Row>> => {
  const { store, projection, stream, untilPosition, untilTime } = question
  const range = { ...(untilPosition && { untilPosition }), ...(untilTime && { untilTime }) }
  return foldStream(projection, await Array.fromAsync(store.readStream(stream, range)))
}
