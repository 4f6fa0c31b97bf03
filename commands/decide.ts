import type { AggregateName, CommandOf, StateOf } from '../domain/aggregates.ts'
import { isRefusal, type Refusal } from '../domain/errors.ts'
import { type EncodedEvent, encodeNewEvent } from '../domain/events.ts'
import { refuseOversized } from '../domain/limits.ts'
import type { Json, Metadata, NewEvent } from '../infra/event-store/port.ts'
import { eventIdOf } from './ids.ts'
import { aggregateOf } from './recorded-event.ts'

/** Decides a command whose fields are within their limits. Returns the events as they are stored; refuses INPUT_INVALID
 *  when a field of the command, or of an event, exceeds its limit. */
export const decideWithinLimits = <Name extends AggregateName>(
  name: Name,
  command: CommandOf<Name>,
  state: StateOf<Name>,
): readonly EncodedEvent[] | Refusal => {
  const { commandFields, decide, schemas } = aggregateOf(name)
  const decided = refuseOversized(commandFields, command) ?? decide(command, state)
  if (isRefusal(decided)) return decided
  const encoded: EncodedEvent[] = []
  for (const event of decided) {
    const one = encodeNewEvent(schemas, event)
    if (isRefusal(one)) return one
    encoded.push(one)
  }
  return encoded
}

/** Returns the event as it is appended; `index` counts the events of a command from 0. */
export const newEventOf = (
  encoded: EncodedEvent,
  envelope: Omit<Metadata, 'schemaVersion'>,
  index: number,
): NewEvent => ({
  id: eventIdOf(envelope.commandId, index, envelope.time),
  type: encoded.type,
  data: encoded.data as Json,
  metadata: { ...envelope, schemaVersion: encoded.version },
})
