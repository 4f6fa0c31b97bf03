import type { Json, Metadata, StoredEvent } from '../port.ts'
import { type CheckedEvent, isUtcTime, isUuid } from '../validation.ts'
import type { LogPosition, LogPositions } from './position.ts'

/** The one internal stream of this engine: it holds the id of the store. The port never returns its events. */
export const identityStream = 'neuralmesh-event-store'

/** An event as the server returns it. `position` is undefined with servers before 22.6. */
export type ServerEvent = {
  readonly stream: string
  readonly revision: bigint
  readonly id: string
  readonly type: string
  readonly isJson: boolean
  readonly data: unknown
  readonly metadata: unknown
  readonly position: LogPosition | undefined
}

/** Events as the server returns them. `isCut` is true when more were asked for than fit into the bytes of a page. */
export type ServerPage = { readonly events: readonly ServerEvent[]; readonly isCut: boolean }

/** An event as the server receives it; data and metadata are plain objects. */
export type OutgoingEvent = {
  readonly id: string
  readonly type: string
  readonly data: unknown
  readonly metadata: object
}

/** The metadata of each event contain the id of the attempt that wrote it. The server returns the same result for a
 *  repetition as for the first time; this id distinguishes them. It also marks the events of this log: other clients
 *  may use the server. */
const attemptKey = 'appendId'

/** Returns the event as it is sent, with the id of the attempt in its metadata. */
export const toOutgoing = ({ id, type, data, metadata }: CheckedEvent, attempt: string): OutgoingEvent => ({
  id,
  type,
  data: JSON.parse(data) as unknown,
  metadata: { ...(JSON.parse(metadata) as object), [attemptKey]: attempt },
})

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** Returns the id of the attempt that wrote the event; undefined for events of other clients. */
export const attemptIdOf = ({ metadata }: ServerEvent): string | undefined => {
  const attempt = isObject(metadata) ? metadata[attemptKey] : undefined
  return typeof attempt === 'string' ? attempt : undefined
}

const texts = ['commandId', 'correlationId', 'causationId', 'actor'] as const
/** Returns whether the metadata is what this store writes: a field alone may be another program's. */
const isOurMetadata = (metadata: unknown): boolean =>
  isObject(metadata) &&
  texts.every((field) => typeof metadata[field] === 'string') &&
  typeof metadata.time === 'string' &&
  isUtcTime(metadata.time) &&
  typeof metadata.schemaVersion === 'number' &&
  isUuid(String(metadata[attemptKey]))

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
    if (attemptIdOf(event) !== undefined && event.stream !== identityStream) onStrange(event)
    return undefined
  }
  const { [attemptKey]: _, ...metadata } = event.metadata as Metadata & { [attemptKey]: unknown }
  const { id, type, stream, revision } = event
  return { id, type, data: event.data as Json, metadata, stream, revision, position: positions.of(event.position) }
}
