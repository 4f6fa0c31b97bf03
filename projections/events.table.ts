import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { DomainEvent } from '../domain/aggregates.ts'
import { key, readSchema, stamps } from './engine/table.ts'

/** The index of the log: one row per event with the columns that lists of events are filtered by. The data of the event
 *  stays in the store. The id is the position, `updatedAt` the time of the event, `day` the day of that time in UTC
 *  (2026-01-31). */
export const eventsTable = defineEntity({
  name: 'LogEvent',
  tableName: 'events',
  schema: readSchema,
  properties: {
    id: key().primary(),
    stream: key(),
    revision: p.bigint('bigint'),
    type: key().$type<DomainEvent['type']>(),
    day: key(),
    correlationId: key(),
    /** The wallet that is a party of the stream from this event on; null for an event that names no party. */
    party: key().strictNullable(),
    ...stamps(),
  },
  indexes: [
    { properties: ['stream', 'id'] },
    { properties: ['type', 'id'] },
    { properties: ['day', 'id'] },
    { properties: ['correlationId', 'id'] },
    { properties: ['party', 'stream', 'id'], where: 'party is not null' },
  ],
})
export type EventRow = InferEntity<typeof eventsTable>
