import { defineEntity, p } from '@mikro-orm/postgresql'
import { Failure } from '../../domain/errors.ts'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import type { ProjectionTarget } from './checkpoints.ts'
import { key, moment, readSchema } from './table.ts'

const messageCharactersMax = 500

/** Streams whose rows stay as they were before an event that could not be folded. What is held back needs no copy: it is
 *  everything in the stream from `revision` on, up to the checkpoint of its read model. */
export const parkedStreamsTable = defineEntity({
  name: 'ParkedStream',
  tableName: 'parked_streams',
  schema: readSchema,
  properties: {
    projection: key().primary(),
    version: p.integer().primary(),
    stream: key().primary(),
    /** Of the event that could not be folded. */
    revision: p.bigint('bigint'),
    position: key(),
    type: p.text(),
    code: p.text(),
    message: p.text(),
    /** How many events of the stream have come since, which wait behind it. */
    held: p.bigint('bigint'),
    since: moment(),
  },
})

export type ParkedStream = {
  readonly projection: string
  readonly version: number
  readonly stream: string
  readonly revision: bigint
  readonly position: string
  readonly type: string
  readonly code: string
  readonly message: string
  readonly held: bigint
  readonly since: string
}

/** Which event. */
export type EventRef = Pick<StoredEvent, 'stream' | 'revision' | 'position' | 'type'>

/** A stream that is to be parked: before which event, why, and how many events of it came after. */
export type Parking = { readonly event: EventRef; readonly error: unknown; readonly held: number }

const COLUMNS = 'projection, version, stream, revision, position, type, code, message, held, since'

const PARK = `insert into read.parked_streams (${COLUMNS})
  select $1, $2, p.stream, p.revision, p.position, p.type, p.code, p.message, p.held, now()
  from unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
    as p(stream, revision, position, type, code, message, held)
  on conflict (projection, version, stream) do update set revision = excluded.revision, position = excluded.position,
    type = excluded.type, code = excluded.code, message = excluded.message, held = excluded.held`

const HOLD = `update read.parked_streams s set held = s.held + h.held
  from unnest($3::text[], $4::bigint[]) as h(stream, held)
  where s.projection = $1 and s.version = $2 and s.stream = h.stream`

const AMONG = `select stream from read.parked_streams
  where projection = $1 and version = $2 and stream = any($3::text[])`

const LIST = `select ${COLUMNS} from read.parked_streams
  where projection = $1 and version = $2 and stream > $3 order by stream limit $4`

const FIND = `select ${COLUMNS} from read.parked_streams where projection = $1 and version = $2 and stream = $3 for update`

const FORGET = 'delete from read.parked_streams where projection = $1 and version = $2'

/** What to tell of an error in a fold: its code, and a message that is not longer than a person reads. Of a value that the
 *  database refuses (SQLSTATE class 22) it quotes nothing: this is shown to more people than the event is. */
export const failureOf = (error: unknown): { readonly code: string; readonly message: string } => {
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Failure ? error.code : 'EVENT_NOT_FOLDED'
  const sqlState = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  const shown = /^22[0-9A-Z]{3}$/.test(sqlState)
    ? `${message.replace(/"[^"]*"/g, '"…"')} (SQLSTATE ${sqlState})`
    : message
  // PostgreSQL takes no NUL, and JSON no half of a character.
  return { code, message: shown.replaceAll('\0', '').slice(0, messageCharactersMax).toWellFormed() }
}

const versionOf = ({ projection: { name, version } }: ProjectionTarget) => [name, version] as const

/** Parks streams; one that is parked already is from now on parked before this event. */
export const park = async (query: Query, place: ProjectionTarget, parkings: readonly Parking[]): Promise<void> => {
  if (parkings.length === 0) return
  const failures = parkings.map(({ error }) => failureOf(error))
  await query('parking.park', PARK, [
    ...versionOf(place),
    parkings.map(({ event }) => event.stream),
    parkings.map(({ event }) => event.revision),
    parkings.map(({ event }) => event.position),
    parkings.map(({ event }) => event.type),
    failures.map(({ code }) => code),
    failures.map(({ message }) => message),
    parkings.map(({ held }) => held),
  ])
}

/** Counts events that wait behind streams that were parked before. */
export const countHeld = async (
  query: Query,
  place: ProjectionTarget,
  held: ReadonlyMap<string, number>,
): Promise<void> => {
  if (held.size > 0) await query('parking.hold', HOLD, [...versionOf(place), [...held.keys()], [...held.values()]])
}

/** Which of these streams are parked. */
export const parkedAmong = async (
  query: Query,
  place: ProjectionTarget,
  streams: Iterable<string>,
): Promise<Set<string>> => {
  const rows = await query<{ stream: string }>('parking.among', AMONG, [...versionOf(place), [...new Set(streams)]])
  return new Set(rows.map(({ stream }) => stream))
}

/** Parked streams by name, after `after`. */
export const listParked = (
  query: Query,
  place: Pick<ProjectionTarget, 'projection'>,
  { after = '', limit }: { readonly after?: string; readonly limit: number },
): Promise<ParkedStream[]> =>
  query<ParkedStream>('parking.list', LIST, [place.projection.name, place.projection.version, after, limit])

/** The parked stream, locked until the end of the transaction. */
export const findParked = async (
  query: Query,
  place: ProjectionTarget,
  stream: string,
): Promise<ParkedStream | undefined> =>
  (await query<ParkedStream>('parking.find', FIND, [...versionOf(place), stream]))[0]

/** Says why a stream is still parked. */
export const explainParked = async (
  query: Query,
  place: ProjectionTarget,
  stream: string,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<void> => {
  const text = `update read.parked_streams set code = $4, message = $5
    where projection = $1 and version = $2 and stream = $3`
  await query('parking.explain', text, [...versionOf(place), stream, code, message])
}

const LEAVE = 'delete from read.parked_streams where projection = $1 and version = $2 and stream = $3'

/** Says that a stream is parked no more, or only before a later event. The caller holds the lock of the checkpoint, and has
 *  written the rows: runners that have them in memory notice by `retries`. */
export const moveParked = async (
  query: Query,
  place: ProjectionTarget,
  stream: string,
  to: Parking | 'folded',
): Promise<void> => {
  if (to === 'folded') await query('parking.leave', LEAVE, [...versionOf(place), stream])
  else await park(query, place, [to])
  await query(
    'parking.retried',
    `update ${place.checkpoints} set retries = retries + 1, parked = parked - $3 where projection = $1 and version = $2`,
    [...versionOf(place), to === 'folded' ? 1 : 0],
  )
}

export const forgetParked = async (query: Query, projection: string, version: number): Promise<void> => {
  await query('parking.forget', FORGET, [projection, version])
}

/** Where parked streams of a version begin, all of them: for a comparison, not for a page. */
export const parkedPositions = async (
  query: Query,
  place: ProjectionTarget,
): Promise<ReadonlyMap<string, Position>> => {
  const rows = await query<{ stream: string; position: Position }>(
    'parking.positions',
    'select stream, position from read.parked_streams where projection = $1 and version = $2',
    [...versionOf(place)],
  )
  return new Map(rows.map(({ stream, position }) => [stream, position]))
}
