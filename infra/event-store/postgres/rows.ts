import type { Query, QueryOptions } from '../../postgres.ts'
import { type Fields, literalOf } from '../../postgres.ts'
import type { Json, Metadata, StoredEvent } from '../port.ts'
import type { Positions } from '../position.ts'

/** An event as it lies in the table: what the database would have to put together costs more than the driver pays for a column. */
type Row = readonly [
  position: bigint,
  revision: bigint,
  id: string,
  stream: string,
  type: string,
  data: Json,
  metadata: Metadata,
]

export const columnsOf = (table: string): string =>
  ['position', 'version', 'event_id', 'stream_id', 'type', 'data', 'metadata']
    .map((name) => `${table}.${name}`)
    .join(', ')

/** Puts a value into a statement: as a bind variable, or as it is written in SQL. */
export type Bind = (value: bigint | number | string | readonly string[]) => string

/** `characters`: of the JSON of all of them, near enough; 0 where there are fewer than were asked for. */
export type Read = { readonly events: readonly StoredEvent[]; readonly characters: number }

/** Selects the columns of columnsOf. */
export type Selection = {
  readonly label: string
  readonly text: (bind: Bind) => string
  readonly rowsMax: number
  readonly retry?: boolean | undefined
}

export type EventRows = {
  /** With bind variables: the quickest for a few. */
  read(selection: Selection, name?: string): Promise<Read>
  /** Copied in binary: a third less work for each, but planned anew each time. */
  copy(selection: Selection): Promise<Read>
}

/** The two ways to read events from the table. */
export const createEventRows = ({
  query,
  positions,
}: {
  readonly query: Query
  readonly positions: Positions
}): EventRows => {
  const optionsOf = ({ retry = false }: Selection): QueryOptions => ({ retry })
  return {
    read: async (selection, name) => {
      const values: unknown[] = []
      const text = selection.text((value) => `$${values.push(value)}`)
      const options = { ...optionsOf(selection), rowMode: 'array', ...(name !== undefined && { name }) } as const
      const rows = await query<Row>(selection.label, text, values, options)
      // Made into JSON again, only to be weighed: where much depends on it.
      const characters = rows.length < selection.rowsMax ? 0 : JSON.stringify(rows.map((row) => row.slice(5))).length
      return { events: rows.map((row) => eventOfRow(row, positions)), characters }
    },
    copy: async (selection) => {
      let characters = 0
      const json = (text: string) => {
        characters += text.length
        return JSON.parse(text)
      }
      const decode = (fields: Fields) => eventOfFields(fields, positions, json)
      const options = { ...optionsOf(selection), decode }
      const events = await query<StoredEvent>(selection.label, selection.text(literalOf), [], options)
      return { events, characters: events.length < selection.rowsMax ? 0 : characters }
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
