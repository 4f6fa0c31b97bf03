import {
  type Aggregate,
  type AggregateName,
  aggregates,
  type CommandOf,
  type EventOf,
  type StateOf,
} from '../domain/aggregates.ts'
import { decodeEvent } from '../domain/events.ts'
import type { NewEvent, Position, StoredEvent } from '../infra/event-store/port.ts'

export type RecordedEvent<Event> = {
  readonly event: Event
  readonly eventId: string
  readonly revision: bigint
  readonly correlationId: string
}

/** An event as it was read back: `commandId` is the command that caused it. */
export type StoredRecord<Event> = RecordedEvent<Event> & { readonly position: Position; readonly commandId: string }

type AnyAggregate<Name extends AggregateName> = Aggregate<CommandOf<Name>, EventOf<Name>, StateOf<Name>>

/** The functions of one aggregate, with the types of its name. */
export const aggregateOf = <Name extends AggregateName>(name: Name): AnyAggregate<Name> =>
  aggregates[name] as unknown as AnyAggregate<Name>

/** The event of the domain in an event of the store. Throws EVENT_UNREADABLE. */
export const domainEventOf = <Name extends AggregateName>(
  { schemas }: AnyAggregate<Name>,
  { type, data, metadata }: NewEvent,
): EventOf<Name> => decodeEvent(schemas, { type, version: metadata.schemaVersion, data })

export const recorded = <Event>(stored: StoredEvent, event: Event): StoredRecord<Event> => ({
  event,
  eventId: stored.id,
  revision: stored.revision,
  position: stored.position,
  correlationId: stored.metadata.correlationId,
  commandId: stored.metadata.commandId,
})
