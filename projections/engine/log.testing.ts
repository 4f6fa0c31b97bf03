import { type AggregateName, aggregates, type EventOf, streamOf } from '../../domain/aggregates.ts'
import { encodeEvent } from '../../domain/events.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import type { EventStore, Json, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { decodeStored, foldInto, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

/** Returns the time of an event by its number: the time of event n is n seconds after 2026 began. */
export const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()

/** Returns the event of a new provider. */
export const register = (wallet: string) =>
  ({ type: 'ProviderRegistered', wallet, name: 'Acme', registeredAt: at(0) }) as const

/** Creates a log for specs that is written event by event, without the rules of the aggregates. Ids and times depend
 *  only on `from` and the number of events written: event n has the time `at(n)`. */
export const createSpecLog = (store: EventStore = createMemoryEventStore({ id: 'spec' }), from = 0) => {
  let written = from
  const uuid = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  return {
    store,
    /** Appends one event; its metadata contains its number. */
    write: async <Name extends AggregateName>(name: Name, id: string, event: EventOf<Name>): Promise<Position> => {
      const number = written++
      const { type, version, data } = encodeEvent(aggregates[name].schemas, event)
      const metadata = {
        commandId: `command-${number}`,
        correlationId: `correlation-${number}`,
        causationId: `cause-${number}`,
        actor: 'spec',
        time: at(number),
        schemaVersion: version,
      }
      const answer = await store.append({
        stream: streamOf(name, id),
        expected: 'any',
        events: [{ id: uuid(number), type, data: data as Json, metadata }],
      })
      if (answer.outcome !== 'appended') throw new Error(`${type} was not appended`)
      return answer.position
    },
    stream: (name: AggregateName, id: string): Promise<StoredEvent[]> =>
      Array.fromAsync(store.readStream(streamOf(name, id))),
    eventId: uuid,
  }
}

export type SpecLog = ReturnType<typeof createSpecLog>

/** Returns the rows that follow from these events, by key. For the events of a stream up to a moment, they are the rows
 *  as of that moment. */
export const foldStream = <Row extends AnyRow>(
  projection: Projection<Row>,
  events: Iterable<StoredEvent>,
): Map<string, Row> => {
  const rows = new Map<string, Row>()
  for (const stored of events) {
    if (!projection.types.includes(stored.type)) continue
    const { event, metadata } = decodeStored(stored)
    foldInto(projection, rows, event, metadata)
  }
  return rows
}

/** Resolves to the rows that the projection makes of these events of one stream, in the order of their keys. */
export const rowsOf = async <Row extends AnyRow, Name extends AggregateName>(
  projection: Projection<Row>,
  name: Name,
  id: string,
  ...events: readonly EventOf<Name>[]
): Promise<Row[]> => {
  const log = createSpecLog()
  for (const event of events) await log.write(name, id, event)
  const rows = foldStream(projection, await log.stream(name, id))
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Returns the position and the time in a row that event `number` of a spec log changed last. */
export const stampsOf = (number: number) => ({
  position: `memory-spec-${String(number + 1).padStart(20, '0')}`,
  updatedAt: at(number),
})
