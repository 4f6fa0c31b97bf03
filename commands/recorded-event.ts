import {
  type Aggregate,
  type AggregateName,
  aggregates,
  type CommandOf,
  type EventOf,
  type StateOf,
} from '../domain/aggregates.ts'
import { decodeEvent } from '../domain/events.ts'
import type { NewEvent, StoredEvent } from '../infra/event-store/port.ts'

/** An event of the domain that is stored, with its ids. */
export type RecordedEvent<Event> = {
  readonly event: Event
  readonly eventId: string
  readonly revision: bigint
  readonly correlationId: string
}

type AnyAggregate<Name extends AggregateName> = Aggregate<CommandOf<Name>, EventOf<Name>, StateOf<Name>>

/** Returns the functions of one aggregate, with the types of its name. */
export const aggregateOf = <Name extends AggregateName>(name: Name): AnyAggregate<Name> =>
  aggregates[name] as unknown as AnyAggregate<Name>

/** Decodes an event of one aggregate. Throws EVENT_UNREADABLE. */
export const recordedEventOf = <Name extends AggregateName>(
  name: Name,
  { id, revision, type, data, metadata }: NewEvent & Pick<StoredEvent, 'revision'>,
): RecordedEvent<EventOf<Name>> => ({
  event: decodeEvent(aggregateOf(name).schemas, { type, version: metadata.schemaVersion, data }),
  eventId: id,
  revision,
  correlationId: metadata.correlationId,
})
