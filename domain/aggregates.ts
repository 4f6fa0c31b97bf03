import { commandFields as accountFields, schemas as accountSchemas } from './account.events.ts'
import * as account from './account.ts'
import type { Refusal } from './errors.ts'
import { type CommandFields, decodeEvent, type EncodedEvent, type EventSchema, type EventSchemas } from './events.ts'
import { commandFields as jobFields, schemas as jobSchemas } from './job.events.ts'
import * as job from './job.ts'
import { commandFields as listingFields, schemas as listingSchemas } from './listing.events.ts'
import * as listing from './listing.ts'
import { commandFields as paymentFields, schemas as paymentSchemas } from './payment.events.ts'
import * as payment from './payment.ts'
import { commandFields as providerFields, schemas as providerSchemas } from './provider.events.ts'
import * as provider from './provider.ts'
import { commandFields as rentalFields, schemas as rentalSchemas } from './rental.events.ts'
import * as rental from './rental.ts'

/** An aggregate: plain functions, the schemas of its stored events, and those of the fields of its commands. */
export type Aggregate<Command extends { type: string }, Event extends { type: string }, State> = {
  readonly initial: State
  readonly decide: (command: Command, state: State) => readonly Event[] | Refusal
  readonly evolve: (state: State, event: Event) => State
  readonly schemas: EventSchemas<Event>
  readonly commandFields: CommandFields<Command>
}

const aggregate = <Command extends { type: string }, Event extends { type: string }, State>(
  { initial, decide, evolve }: Omit<Aggregate<Command, Event, State>, 'schemas' | 'commandFields'>,
  schemas: EventSchemas<Event>,
  commandFields: CommandFields<Command>,
): Aggregate<Command, Event, State> => ({ initial, decide, evolve, schemas, commandFields })

/** All aggregates, by the name with which their streams begin. */
export const aggregates = {
  account: aggregate<account.Command, account.Event, account.State>(account, accountSchemas, accountFields),
  job: aggregate<job.Command, job.Event, job.State>(job, jobSchemas, jobFields),
  listing: aggregate<listing.Command, listing.Event, listing.State>(listing, listingSchemas, listingFields),
  payment: aggregate<payment.Command, payment.Event, payment.State>(payment, paymentSchemas, paymentFields),
  provider: aggregate<provider.Command, provider.Event, provider.State>(provider, providerSchemas, providerFields),
  rental: aggregate<rental.Command, rental.Event, rental.State>(rental, rentalSchemas, rentalFields),
}

export type AggregateName = keyof typeof aggregates
type Of<Name extends AggregateName> = (typeof aggregates)[Name]
// Distributed over a union of names, so that CommandOf<AggregateName> is any command.
export type CommandOf<Name extends AggregateName> = Name extends AggregateName
  ? Of<Name> extends Aggregate<infer Command, infer _Event, infer _State>
    ? Command
    : never
  : never
export type EventOf<Name extends AggregateName> = Name extends AggregateName
  ? Of<Name> extends Aggregate<infer _Command, infer Event, infer _State>
    ? Event
    : never
  : never
export type StateOf<Name extends AggregateName> = Of<Name>['initial']

/** Any event of the platform. Type names are unique over all aggregates; events.spec.ts holds that. */
export type DomainEvent = EventOf<AggregateName>

/** Returns the stream of one aggregate: its name, a dash, its id. */
export const streamOf = (name: AggregateName, id: string): string => `${name}-${id}`

/** Returns the id in the name of a stream: the part after the first dash. */
export const idOf = (stream: string): string => stream.slice(stream.indexOf('-') + 1)

/** The schemas of all events, by type. */
export const eventSchemas: Readonly<Record<string, EventSchema<unknown>>> = Object.assign(
  {},
  ...Object.values(aggregates).map(({ schemas }) => schemas),
)

/** Decodes a stored event of any aggregate. Throws EVENT_UNREADABLE. */
export const decodeDomainEvent = (encoded: EncodedEvent): DomainEvent =>
  decodeEvent(eventSchemas as EventSchemas<DomainEvent>, encoded)
