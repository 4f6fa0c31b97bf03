import type { Json, Metadata, StoredEvent } from '../port.ts'
import type { CheckedEvent } from '../validation.ts'
import type { LogPosition, LogPositions } from './position.ts'

/** The one stream of this engine itself: it holds the id of the store. Never let out. */
export const identityStream = 'neuralmesh-event-store'

/** An event as the server gives it. `position` is undefined from servers before 22.6. */
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

/** An event as it is sent; data and metadata are plain objects. */
export type OutgoingEvent = {
  readonly id: string
  readonly type: string
  readonly data: unknown
  readonly metadata: object
}

/** In the metadata of each event, the id of the attempt that wrote it: the server answers a repetition as it answered the first
 *  time, and by this one can tell. It also marks what is of this log: others may use the same server. */
const attemptKey = 'appendId'

export const toOutgoing = ({ id, type, data, metadata }: CheckedEvent, attempt: string): OutgoingEvent => ({
  id,
  type,
  data: JSON.parse(data) as unknown,
  metadata: { ...(JSON.parse(metadata) as object), [attemptKey]: attempt },
})

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

export const attemptOf = ({ metadata }: ServerEvent): string | undefined => {
  const attempt = isObject(metadata) ? metadata[attemptKey] : undefined
  return typeof attempt === 'string' ? attempt : undefined
}

/** True for what the port would let out: no system event, no link, nothing that someone else wrote into the server. */
export const isOurs = (event: ServerEvent): event is ServerEvent & { readonly position: LogPosition } =>
  event.isJson &&
  event.position !== undefined &&
  !event.stream.startsWith('$') &&
  !event.type.startsWith('$') &&
  event.stream !== identityStream &&
  attemptOf(event) !== undefined

/** What the port lets out; undefined when it does not. */
export const toStored = (event: ServerEvent, positions: LogPositions): StoredEvent | undefined => {
  if (!isOurs(event)) return undefined
  const { [attemptKey]: _, ...metadata } = event.metadata as Metadata & { [attemptKey]: unknown }
  const { id, type, stream, revision } = event
  return { id, type, data: event.data as Json, metadata, stream, revision, position: positions.of(event.position) }
}
