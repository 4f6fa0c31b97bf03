import type { AggregateName, EventOf, StateOf } from '../domain/aggregates.ts'
import type { Position } from '../infra/event-store/port.ts'
import type { Actor } from './actor.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** What travels with every command. The same `commandId` again is the same request: it gets the first answer. */
export type Envelope = {
  readonly commandId: string
  readonly correlationId: string
  /** The event or command directly before. */
  readonly causationId: string
  readonly actor: Actor
  /** ISO 8601 in UTC. */
  readonly time: string
}

/** Returns the envelope of a request, as opposed to a command that an event caused. `correlationId` is that of the
 *  earlier request to which this one belongs; left out, the request stands at the beginning. */
export const requestEnvelope = (
  commandId: string,
  actor: Actor,
  time: string,
  correlationId = commandId,
): Envelope => ({
  commandId,
  correlationId,
  causationId: commandId,
  actor,
  time,
})

/** The answer to a command. `events` are those of this command, `state` is the aggregate after all that is stored,
 *  `position` is that of the last of the events; undefined when nothing followed from the command. */
export type Executed<Name extends AggregateName> = {
  readonly outcome: 'executed'
  readonly repeated: boolean
  readonly events: readonly RecordedEvent<EventOf<Name>>[]
  readonly state: StateOf<Name>
  readonly position: Position | undefined
}
