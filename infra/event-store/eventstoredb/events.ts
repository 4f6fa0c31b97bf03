import { randomUUID } from 'node:crypto'
import type { Json, Metadata, StoredEvent } from '../port.ts'
import { identityStream } from '../position.ts'
import { type CheckedEvent, isUtcTime, isUuid } from '../validation.ts'
import type { LogPosition, LogPositions } from './position.ts'

/** An event as the server returns it. `position` is undefined with servers before 22.6. */
export type ServerEvent = {
  readonly stream: string
  readonly revision: bigint
  /** The id that its caller gave it. */
  readonly id: string
  /** The id under which the server has it. */
  readonly serverId: string
  readonly type: string
  readonly isJson: boolean
  readonly data: unknown
  readonly metadata: unknown
  readonly position: LogPosition | undefined
}

export type Direction = 'forwards' | 'backwards'

/** Events as the server returns them. `isCut` is true when more were asked for than fit into the bytes of a page,
 *  `isNoStream` when the server has no stream of this name, or a deleted one: of one that has expired it returns no events
 *  either. */
export type ServerPage = {
  readonly events: readonly ServerEvent[]
  readonly isCut: boolean
  readonly isNoStream: boolean
}

/** An event as the server receives it: under an id of this attempt, with data and metadata as JSON. */
export type OutgoingEvent = {
  readonly serverId: string
  readonly type: string
  readonly data: string
  readonly metadata: string
}

/** The metadata of each event contain the id of the attempt that wrote it, which also marks the events of this log:
 *  other clients may use the server. */
const attemptKey = 'appendId'
/** The id that the caller gave the event. Missing in events that the server has under that id: all that were written
 *  before ids belonged to attempts. */
const idKey = 'eventId'

/** Returns the events of an append as they are sent. The server has each under an id of its own, drawn for this attempt:
 *  so it takes nothing for a repetition but this attempt sent again, and answers another attempt at the same events as a
 *  conflict (ADR 30). */
export const toOutgoing = (events: readonly CheckedEvent[]): readonly OutgoingEvent[] => {
  const attempt = randomUUID()
  return events.map(({ id, type, data, metadata }, index) => ({
    serverId: index === 0 ? attempt : randomUUID(),
    type,
    data,
    metadata: `${metadata.slice(0, -1)}${metadata === '{}' ? '' : ','}"${attemptKey}":"${attempt}","${idKey}":"${id}"}`,
  }))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** Returns whether the event carries the mark of this log. One of another program may do so too. */
const isMarked = ({ metadata }: ServerEvent): boolean => isObject(metadata) && typeof metadata[attemptKey] === 'string'

/** Returns the id that the caller gave an event. */
export const callerIdOf = (serverId: string, metadata: unknown): string => {
  const id = isObject(metadata) ? metadata[idKey] : undefined
  return typeof id === 'string' && id.length === serverId.length ? id : serverId
}

const texts = ['commandId', 'correlationId', 'causationId', 'actor'] as const
/** Returns whether the metadata is what this store writes: a field alone may be another program's. */
const isOurMetadata = (metadata: unknown): boolean =>
  isObject(metadata) &&
  texts.every((field) => typeof metadata[field] === 'string') &&
  typeof metadata.time === 'string' &&
  isUtcTime(metadata.time) &&
  typeof metadata.schemaVersion === 'number' &&
  isUuid(String(metadata[attemptKey])) &&
  (metadata[idKey] === undefined || isUuid(String(metadata[idKey])))

/** Returns true for the events of this log: no system events, no links, and no events of other clients. */
export const isOurs = (event: ServerEvent): event is ServerEvent & { readonly position: LogPosition } =>
  event.isJson &&
  event.position !== undefined &&
  !event.stream.startsWith('$') &&
  !event.type.startsWith('$') &&
  event.stream !== identityStream &&
  isOurMetadata(event.metadata)

/** Returns the event as the port returns it; undefined for an event that is not of this log.
 *  @param onStrange called with one that carries our mark and is not ours all the same. */
export const toStored = (
  event: ServerEvent,
  positions: LogPositions,
  onStrange: (event: ServerEvent) => void,
): StoredEvent | undefined => {
  if (!isOurs(event)) {
    if (isMarked(event) && event.stream !== identityStream) onStrange(event)
    return undefined
  }
  const { [attemptKey]: _, [idKey]: __, ...metadata } = event.metadata as Metadata & Readonly<Record<string, unknown>>
  const { id, type, stream, revision } = event
  return { id, type, data: event.data as Json, metadata, stream, revision, position: positions.of(event.position) }
}
