import type { Fields } from '../postgres-copy.ts'
import type { Json, Metadata, StoredEvent } from './port.ts'
import type { Positions } from './position.ts'

/** An event as three texts: `<position> <revision> <event id> <stream>`, its type, and data and metadata as one JSON array. Each
 *  column and each document costs the driver and the parser about as much as a hundred characters do. Numbers and JSON as
 *  text: they are read here, whatever parsers the driver was given. */
export type Row = readonly [place: string, type: string, document: string]

export const columnsOf = (table: string): string =>
  `concat_ws(' ', ${table}.position, ${table}.version, ${table}.event_id, ${table}.stream_id) as place, ${table}.type as type,
  '[' || ${table}.data::text || ',' || ${table}.metadata::text || ']' as document`

const idCharacters = 36

/** The revision of a row in its stream. */
export const revisionOfRow = ([place]: Row): bigint => {
  const begin = place.indexOf(' ') + 1
  return BigInt(place.slice(begin, place.indexOf(' ', begin)))
}

export const charactersOf = (rows: readonly Row[]): number =>
  rows.reduce((sum, [, , document]) => sum + document.length, 0)

/** Names may hold spaces and anything else, so the stream comes last. */
export const eventOfRow = ([place, type, document]: Row, positions: Positions): StoredEvent => {
  const position = place.indexOf(' ')
  const revision = place.indexOf(' ', position + 1)
  const id = revision + 1 + idCharacters
  const [data, metadata] = JSON.parse(document) as [Json, Metadata]
  return {
    id: place.slice(revision + 1, id),
    type,
    data,
    metadata,
    stream: place.slice(id + 1),
    revision: BigInt(place.slice(position + 1, revision)),
    position: positions.of(place.slice(0, position)),
  }
}

/** The same event for a statement whose rows are copied in binary, each field as it lies in the table. */
export const copiedColumnsOf = (table: string): string =>
  ['position', 'version', 'event_id', 'stream_id', 'type', 'data', 'metadata']
    .map((name) => `${table}.${name}`)
    .join(', ')

/** Reads the columns of copiedColumnsOf. `weigh` hears how many characters of JSON it had. */
export const eventOfFields = (
  fields: Fields,
  positions: Positions,
  weigh: (characters: number) => void,
): StoredEvent => {
  const position = positions.of(fields.int8())
  const revision = fields.int8()
  const id = fields.uuid()
  const stream = fields.text()
  const type = fields.text()
  const data = fields.text()
  const metadata = fields.text()
  weigh(data.length + metadata.length)
  return { id, type, data: JSON.parse(data), metadata: JSON.parse(metadata), stream, revision, position }
}
