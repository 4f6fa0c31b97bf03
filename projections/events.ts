import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { DomainEvent } from '../domain/aggregates.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { decodeStored, projection, type Recorded } from './projection.ts'
import { key, readSchema, stamps, toMoment } from './table.ts'

/** The index of the log: one row per event, with what lists of events are narrowed by, and without the body, which the store
 *  keeps. The id is the position, `updatedAt` the time of the event, `day` the day of that in UTC (2026-01-31). */
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
    /** The wallet whose business the stream is from this event on; null for an event that makes it nobody's. */
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

/** How many of its first events a stream needs to name its parties. A subscription looks no further. */
export const namingEvents = 2

const row = (party: string | undefined, type: DomainEvent['type'], recorded: Recorded) => {
  const { stream, revision, time, correlationId } = recorded
  return { stream, revision, type, day: toMoment(time).slice(0, 10), correlationId, party: party ?? null }
}

const naming =
  <Event extends DomainEvent>(party: (event: Event) => string) =>
  (_: EventRow | undefined, event: Event, recorded: Recorded) =>
    row(party(event), event.type, recorded)

const nobody = (_: EventRow | undefined, { type }: DomainEvent, recorded: Recorded) => row(undefined, type, recorded)

/** An account begins with whatever happens to it first, and its id is the wallet. */
const account = (_: EventRow | undefined, { type }: DomainEvent, recorded: Recorded) =>
  row(recorded.revision === 0n ? recorded.id : undefined, type, recorded)

export const events = projection<DomainEvent, EventRow>({
  name: 'events',
  version: 1,
  table: eventsTable,
  rowsNeverChange: true,
  key: (_, { position }) => position,
  fold: {
    ProviderRegistered: naming(({ wallet }) => wallet),
    ProviderRenamed: nobody,
    GpusListed: naming(({ provider }) => provider),
    PriceChanged: nobody,
    ListingWithdrawn: nobody,
    CapacityReserved: nobody,
    CapacityRefused: nobody,
    CapacityFreed: nobody,
    RentalRequested: naming(({ renter }) => renter),
    RentalActivated: naming(({ provider }) => provider),
    RentalRejected: nobody,
    UsageMetered: nobody,
    RentalEnded: nobody,
    InvoiceIssued: nobody,
    JobSubmitted: naming(({ renter }) => renter),
    JobStarted: nobody,
    JobProgressed: nobody,
    JobSucceeded: nobody,
    JobFailed: nobody,
    JobInterrupted: nobody,
    JobStopRequested: nobody,
    JobStopped: nobody,
    DepositObserved: naming(({ user }) => user),
    DepositFinalized: nobody,
    DepositVanished: nobody,
    DepositCredited: account,
    FundsHeld: account,
    HoldRefused: account,
    HoldCaptured: account,
    HoldReleased: account,
    EarningsCredited: account,
  },
})

/** The wallet that an event makes a party of its stream. Throws EVENT_UNREADABLE. */
export const partyNamedBy = (stored: StoredEvent): string | undefined => {
  const { event, recorded } = decodeStored(stored)
  return events.fold(undefined, event, recorded, recorded.position)?.party ?? undefined
}
