import type { QueryOptions } from '../../postgres.ts'
import { type Fields, literalOf } from '../../postgres.ts'
import type { Json, Metadata, StoredEvent } from '../port.ts'
import type { Positions } from '../position.ts'
import type { KnownInPostgres } from './known.ts'

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
  running: bigint,
]

/** Returns the SQL text for a value: a bind variable, or a literal. */
export type BindValue = (value: bigint | number | string | readonly string[]) => string

/** `bytes` is the length of the JSON of all events. `isFull` is true when the page ends because it has as many events or
 *  bytes as one may have: more may follow. */
export type EventsRead = { readonly events: readonly StoredEvent[]; readonly bytes: number; readonly isFull: boolean }

/** A page of events: `select` selects rows of log.events in an order, at most `rowsMax`. */
export type EventQuery = {
  readonly label: string
  readonly select: (bind: BindValue) => string
  readonly orderBy: `${'position' | 'version'} ${'asc' | 'desc'}`
  readonly rowsMax: number
  readonly retry?: boolean | undefined
}

/** A page ends with the event that reaches so many bytes. */
export const pageBytesMax = 4 * 1024 * 1024

const columns = 'e.position, e.version, e.event_id, e.stream_id, e.type, e.data, e.metadata'
const bytesOfRow = 'octet_length(r.data::text) + octet_length(r.metadata::text)'

/** Returns the statement of a page. It is cut in the database: a client knows how large rows are only once they have
 *  arrived. */
const textOf = ({ select, orderBy }: EventQuery, known: KnownInPostgres, bind: BindValue): string => `
  select ${columns}, e.running from (
    select w.*, sum(w.bytes) over (order by w.${orderBy} rows unbounded preceding) as running from (
      select r.*, ${bytesOfRow} as bytes from (${select(bind)}) r offset 0
    ) w
  ) e where e.running - e.bytes < ${bind(pageBytesMax)} and ${known.condition(bind)} order by e.${orderBy}`

/** Returns the statement of a page that is not cut, with the bytes of all its events beside each. Where they are too
 *  many it has the first event alone. To add them up once takes less than half of what a running sum takes. */
const uncutTextOf = ({ select, orderBy }: EventQuery, known: KnownInPostgres, bind: BindValue): string => `
  with page as materialized (${select(bind)}),
  size as materialized (select sum(${bytesOfRow}) as bytes from page r)
  select ${columns}, (select bytes from size) from page e
  where ((select bytes from size) < ${bind(pageBytesMax)} or e.position = (select r.position from page r limit 1))
    and ${known.condition(bind)} order by e.${orderBy}`

export type EventRows = {
  /** Reads with bind variables, which is the fastest for a few events. `name` makes it a prepared statement. */
  read(eventQuery: EventQuery, name?: string): Promise<EventsRead>
  /** Reads by a binary COPY: a third less work for each event, but planned anew each time. */
  copy(eventQuery: EventQuery): Promise<EventsRead>
}

/** Creates the two ways to read events from the table. */
export const createEventRows = ({
  known,
  positions,
}: {
  readonly known: KnownInPostgres
  readonly positions: Positions
}): EventRows => {
  const { query } = known
  const optionsOf = ({ retry = false }: EventQuery): QueryOptions => ({ retry })
  const pageOf = ({ rowsMax }: EventQuery, events: readonly StoredEvent[], bytes: number): EventsRead => {
    for (const event of [events[0], events.at(-1)]) if (event) known.add(event)
    return { events, bytes, isFull: events.length === rowsMax || bytes >= pageBytesMax }
  }
  const copied = async (eventQuery: EventQuery, statementOf: typeof textOf): Promise<EventsRead> => {
    let bytes = 0n
    const decode = (fields: Fields) => {
      const event = eventOfFields(fields, positions)
      bytes = fields.int8()
      return event
    }
    const options = { ...optionsOf(eventQuery), decode }
    const events = await query<StoredEvent>(eventQuery.label, statementOf(eventQuery, known, literalOf), [], options)
    return pageOf(eventQuery, events, Number(bytes))
  }
  return {
    read: async (eventQuery, name) => {
      const values: unknown[] = []
      const text = textOf(eventQuery, known, (value) => `$${values.push(value)}`)
      const named = name !== undefined && { name: known.named(name) }
      const options = { ...optionsOf(eventQuery), rowMode: 'array', ...named } as const
      const rows = await query<Row>(eventQuery.label, text, values, options)
      const events = rows.map((row) => eventOfRow(row, positions))
      return pageOf(eventQuery, events, Number(rows.at(-1)?.[7] ?? 0))
    },
    copy: async (eventQuery) => {
      const uncut = await copied(eventQuery, uncutTextOf)
      return uncut.bytes < pageBytesMax ? uncut : copied(eventQuery, textOf)
    },
  }
}

const eventOfRow = (
  [position, revision, id, stream, type, data, metadata]: Row,
  positions: Positions,
): StoredEvent => ({ id, type, data, metadata, stream, revision, position: positions.of(position) })

const eventOfFields = (fields: Fields, positions: Positions): StoredEvent => {
  const position = positions.of(fields.int8())
  const revision = fields.int8()
  const id = fields.uuid()
  const stream = fields.text()
  const type = fields.text()
  const data = JSON.parse(fields.text()) as Json
  const metadata = JSON.parse(fields.text()) as Metadata
  return { id, type, data, metadata, stream, revision, position }
}
