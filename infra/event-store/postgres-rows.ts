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

/** The position of a row, as a number. */
export const numberOfRow = ([place]: Row): bigint => BigInt(place.slice(0, place.indexOf(' ')))

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
