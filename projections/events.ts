import type { DomainEvent } from '../domain/aggregates.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { decodeStored, type EventMetadata, projection } from './engine/projection.ts'
import { toMoment } from './engine/table.ts'
import { type EventRow, eventsTable } from './events.table.ts'

/** How many of its first events a stream needs to name its parties. A subscription looks no further. */
export const namingEvents = 2

const row = (party: string | undefined, type: DomainEvent['type'], recorded: EventMetadata) => {
  const { stream, revision, time, correlationId } = recorded
  return { stream, revision, type, day: toMoment(time).slice(0, 10), correlationId, party: party ?? null }
}

const naming =
  <Event extends DomainEvent>(party: (event: Event) => string) =>
  (_: EventRow | undefined, event: Event, recorded: EventMetadata) =>
    row(party(event), event.type, recorded)

const nobody = (_: EventRow | undefined, { type }: DomainEvent, recorded: EventMetadata) =>
  row(undefined, type, recorded)

/** An account begins with whatever happens to it first, and its id is the wallet. */
const account = (_: EventRow | undefined, { type }: DomainEvent, recorded: EventMetadata) =>
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
