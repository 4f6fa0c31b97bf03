import type { Query, QueryOptions } from '../../postgres.ts'
import { type Fields, literalOf } from '../../postgres.ts'
import type { Json, Metadata, StoredEvent } from '../port.ts'
import type { Positions } from '../position.ts'

/** The columns of an event as they are in the table: combining them in the database costs more than the driver needs
 *  for one column more. */
type Row = readonly [
  position: bigint,
  revision: bigint,
  id: string,
  stream: string,
  type: string,
  data: Json,
  metadata: Metadata,
]

/** Returns the column list of a statement that reads events, for a table alias. */
export const columnsOf = (table: string): string =>
  ['position', 'version', 'event_id', 'stream_id', 'type', 'data', 'metadata']
    .map((name) => `${table}.${name}`)
    .join(', ')

/** Returns the SQL text for a value: a bind variable, or a literal. */
export type BindValue = (value: bigint | number | string | readonly string[]) => string

/** `characters` is the approximate length of the JSON of all events; 0 when there are fewer events than requested. */
export type EventsRead = { readonly events: readonly StoredEvent[]; readonly characters: number }

/** A statement that selects the columns of `columnsOf`. */
export type EventQuery = {
  readonly label: string
  readonly text: (bind: BindValue) => string
  readonly rowsMax: number
  readonly retry?: boolean | undefined
}

export type EventRows = {
  /** Reads with bind variables, which is the fastest for a few events. `name` makes it a prepared statement. */
  read(eventQuery: EventQuery, name?: string): Promise<EventsRead>
  /** Reads by a binary COPY: a third less work for each event, but planned anew each time. */
  copy(eventQuery: EventQuery): Promise<EventsRead>
}

/** Creates the two ways to read events from the table. */
export const createEventRows = ({
  query,
  positions,
}: {
  readonly query: Query
  readonly positions: Positions
}): EventRows => {
  const optionsOf = ({ retry = false }: EventQuery): QueryOptions => ({ retry })
  return {
    read: async (eventQuery, name) => {
      const values: unknown[] = []
      const text = eventQuery.text((value) => `$${values.push(value)}`)
      const options = { ...optionsOf(eventQuery), rowMode: 'array', ...(name !== undefined && { name }) } as const
      const rows = await query<Row>(eventQuery.label, text, values, options)
      // Serialized again only to measure its size, and only for a full page, whose size decides the size of the next
      // one.
      const characters = rows.length < eventQuery.rowsMax ? 0 : JSON.stringify(rows.map((row) => row.slice(5))).length
      return { events: rows.map((row) => eventOfRow(row, positions)), characters }
    },
    copy: async (eventQuery) => {
      let characters = 0
      const json = (text: string) => {
        characters += text.length
        return JSON.parse(text)
      }
      const decode = (fields: Fields) => eventOfFields(fields, positions, json)
      const options = { ...optionsOf(eventQuery), decode }
      const events = await query<StoredEvent>(eventQuery.label, eventQuery.text(literalOf), [], options)
      return { events, characters: events.length < eventQuery.rowsMax ? 0 : characters }
    },
  }
}

const eventOfRow = (
  [position, revision, id, stream, type, data, metadata]: Row,
  positions: Positions,
): StoredEvent => ({ id, type, data, metadata, stream, revision, position: positions.of(position) })

const eventOfFields = (fields: Fields, positions: Positions, json: (text: string) => unknown): StoredEvent => {
  const position = positions.of(fields.int8())
  const revision = fields.int8()
  const id = fields.uuid()
  const stream = fields.text()
  const type = fields.text()
  const data = json(fields.text()) as Json
  const metadata = json(fields.text()) as Metadata
  return { id, type, data, metadata, stream, revision, position }
}
