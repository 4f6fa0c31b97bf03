import type { DomainEvent } from '../domain/aggregates.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { decodeStored, type EventMetadata, projection } from './engine/projection.ts'
import { toMoment } from './engine/table.ts'
import { type EventRow, eventsTable } from './events.table.ts'

/** The number of first events of a stream that can name its parties. A subscription reads no further. */
export const namingEvents = 2

const row = (party: string | undefined, type: DomainEvent['type'], metadata: EventMetadata) => {
  const { stream, revision, time, correlationId } = metadata
  return { stream, revision, type, day: toMoment(time).slice(0, 10), correlationId, party: party ?? null }
}

/** Returns the fold of events that name a party. */
const naming =
  <Event extends DomainEvent>(party: (event: Event) => string) =>
  (_: EventRow | undefined, event: Event, metadata: EventMetadata) =>
    row(party(event), event.type, metadata)

const noParty = (_: EventRow | undefined, { type }: DomainEvent, metadata: EventMetadata) =>
  row(undefined, type, metadata)

/** Returns the row of an event of an account. Its first event names the party, whatever its type: the id of the account
 *  is the wallet. */
const account = (_: EventRow | undefined, { type }: DomainEvent, metadata: EventMetadata) =>
  row(metadata.revision === 0n ? metadata.id : undefined, type, metadata)

/** The index of the log. */
export const events = projection<DomainEvent, EventRow>({
  name: 'events',
  version: 1,
  table: eventsTable,
  rowsNeverChange: true,
  key: (_, { position }) => position,
  fold: {
    ProviderRegistered: naming(({ wallet }) => wallet),
    ProviderRenamed: noParty,
    GpusListed: naming(({ provider }) => provider),
    PriceChanged: noParty,
    ListingWithdrawn: noParty,
    CapacityReserved: noParty,
    CapacityRefused: noParty,
    CapacityFreed: noParty,
    RentalRequested: naming(({ renter }) => renter),
    RentalActivated: naming(({ provider }) => provider),
    RentalRejected: noParty,
    UsageMetered: noParty,
    RentalJobAdmitted: noParty,
    RentalJobClosed: noParty,
    RentalEndRequested: noParty,
    RentalEnded: noParty,
    InvoiceIssued: noParty,
    JobSubmitted: naming(({ renter }) => renter),
    JobStarted: noParty,
    JobProgressed: noParty,
    JobSucceeded: noParty,
    JobFailed: noParty,
    JobInterrupted: noParty,
    JobStopRequested: noParty,
    JobStopped: noParty,
    DepositObserved: naming(({ user }) => user),
    DepositFinalized: noParty,
    DepositVanished: noParty,
    DepositCredited: account,
    FundsHeld: account,
    HoldRefused: account,
    HoldCaptured: account,
    HoldReleased: account,
    EarningsCredited: account,
  },
})

/** Returns the wallet that an event names as a party of its stream. Throws EVENT_UNREADABLE. */
export const partyNamedBy = (stored: StoredEvent): string | undefined => {
  const { event, metadata } = decodeStored(stored)
  return events.fold(undefined, event, metadata, metadata.position)?.party ?? undefined
}
