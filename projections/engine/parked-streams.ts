import { defineEntity, p } from '@mikro-orm/postgresql'
import { Failure } from '../../domain/errors.ts'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { Query } from '../../infra/postgres.ts'
import { errorCode } from '../../infra/system/errors.ts'
import type { ProjectionTarget } from './checkpoints.ts'
import { key, moment, readSchema } from './table.ts'

const messageCharactersMax = 500

/** Streams with an event that could not be folded. Their rows stay as they were before it. The events that wait need no
 *  copy: they are all events of the stream from `revision` on, up to the checkpoint of its read model. */
export const parkedStreamsTable = defineEntity({
  name: 'ParkedStream',
  tableName: 'parked_streams',
  schema: readSchema,
  properties: {
    projection: key().primary(),
    version: p.integer().primary(),
    stream: key().primary(),
    /** The event that could not be folded. */
    revision: p.bigint('bigint'),
    position: key(),
    type: p.text(),
    code: p.text(),
    message: p.text(),
    /** The number of later events of the stream, which wait behind it. */
    held: p.bigint('bigint'),
    since: moment(),
  },
})

/** A row of the table of parked streams. */
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

/** Names an event without its data. */
export type EventRef = Pick<StoredEvent, 'stream' | 'revision' | 'position' | 'type'>

/** A stream to park: the event that could not be folded, its error, and the number of later events. */
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

/** Returns the code of an error and a message of bounded length. For a value that the database refuses (SQLSTATE class
 *  22), the message quotes nothing of it: more people see this message than the event. */
export const failureOf = (error: unknown): { readonly code: string; readonly message: string } => {
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Failure ? error.code : 'EVENT_NOT_FOLDED'
  const sqlState = errorCode(error) ?? ''
  const shown = /^22[0-9A-Z]{3}$/.test(sqlState)
    ? `${message.replace(/"[^"]*"/g, '"…"')} (SQLSTATE ${sqlState})`
    : message
  // PostgreSQL refuses NUL characters, and JSON refuses half of a surrogate pair.
  return { code, message: shown.replaceAll('\0', '').slice(0, messageCharactersMax).toWellFormed() }
}

const versionOf = ({ projection: { name, version } }: ProjectionTarget) => [name, version] as const

/** Parks streams, each from its poison event on. A stream that is parked already is parked before the given event from
 *  now on. */
export const park = async (query: Query, target: ProjectionTarget, parkings: readonly Parking[]): Promise<void> => {
  if (parkings.length === 0) return
  const failures = parkings.map(({ error }) => failureOf(error))
  await query('parking.park', PARK, [
    ...versionOf(target),
    parkings.map(({ event }) => event.stream),
    parkings.map(({ event }) => event.revision),
    parkings.map(({ event }) => event.position),
    parkings.map(({ event }) => event.type),
    failures.map(({ code }) => code),
    failures.map(({ message }) => message),
    parkings.map(({ held }) => held),
  ])
}

/** Adds to the number of waiting events of streams that were parked before. */
export const countHeld = async (
  query: Query,
  target: ProjectionTarget,
  held: ReadonlyMap<string, number>,
): Promise<void> => {
  if (held.size > 0) await query('parking.hold', HOLD, [...versionOf(target), [...held.keys()], [...held.values()]])
}

/** Resolves to those of the streams that are parked. */
export const parkedAmong = async (
  query: Query,
  target: ProjectionTarget,
  streams: Iterable<string>,
): Promise<Set<string>> => {
  const rows = await query<{ stream: string }>('parking.among', AMONG, [...versionOf(target), [...new Set(streams)]])
  return new Set(rows.map(({ stream }) => stream))
}

/** Resolves to parked streams in the order of their names, from behind `after`. */
export const listParked = (
  query: Query,
  target: Pick<ProjectionTarget, 'projection'>,
  { after = '', limit }: { readonly after?: string; readonly limit: number },
): Promise<ParkedStream[]> =>
  query<ParkedStream>('parking.list', LIST, [target.projection.name, target.projection.version, after, limit])

/** Resolves to the parked stream and locks its row until the end of the transaction. */
export const findParked = async (
  query: Query,
  target: ProjectionTarget,
  stream: string,
): Promise<ParkedStream | undefined> =>
  (await query<ParkedStream>('parking.find', FIND, [...versionOf(target), stream]))[0]

/** Updates the reason why a stream is parked. */
export const explainParked = async (
  query: Query,
  target: ProjectionTarget,
  stream: string,
  { code, message }: { readonly code: string; readonly message: string },
): Promise<void> => {
  const text = `update read.parked_streams set code = $4, message = $5
    where projection = $1 and version = $2 and stream = $3`
  await query('parking.explain', text, [...versionOf(target), stream, code, message])
}

const LEAVE = 'delete from read.parked_streams where projection = $1 and version = $2 and stream = $3'

/** Ends the parking of a stream, or moves it to a later event. The caller holds the lock of the checkpoint and has
 *  written the rows: runners that have those rows in memory notice by `retries`. */
export const moveParked = async (
  query: Query,
  target: ProjectionTarget,
  stream: string,
  to: Parking | 'folded',
): Promise<void> => {
  if (to === 'folded') await query('parking.leave', LEAVE, [...versionOf(target), stream])
  else await park(query, target, [to])
  await query(
    'parking.retried',
    `update ${target.checkpoints} set retries = retries + 1, parked = parked - $3 where projection = $1 and version = $2`,
    [...versionOf(target), to === 'folded' ? 1 : 0],
  )
}

/** Deletes all parked streams of a version. */
export const deleteParked = async (query: Query, projection: string, version: number): Promise<void> => {
  await query('parking.forget', FORGET, [projection, version])
}

/** Resolves to the position from which each stream of a version is parked, for all of them: for a comparison, not for a
 *  page. */
export const parkedPositions = async (
  query: Query,
  target: ProjectionTarget,
): Promise<ReadonlyMap<string, Position>> => {
  const rows = await query<{ stream: string; position: Position }>(
    'parking.positions',
    'select stream, position from read.parked_streams where projection = $1 and version = $2',
    [...versionOf(target)],
  )
  return new Map(rows.map(({ stream, position }) => [stream, position]))
}
