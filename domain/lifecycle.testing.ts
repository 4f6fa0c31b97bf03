// The lifecycle tables of all aggregates, and what their spec and docs/lifecycles.md read from them.
import { lifecycle as account } from './account.lifecycle.ts'
import type { Aggregate, AggregateName, CommandOf, EventOf, StateOf } from './aggregates.ts'
import { type ErrorCode, isRefusal } from './errors.ts'
import { lifecycle as job } from './job.lifecycle.ts'
import type { Lifecycle, Outcome } from './lifecycle.ts'
import { lifecycle as listing } from './listing.lifecycle.ts'
import { lifecycle as payment } from './payment.lifecycle.ts'
import { lifecycle as provider } from './provider.lifecycle.ts'
import { lifecycle as rental } from './rental.lifecycle.ts'

/** Leaving out an aggregate does not compile. */
export const lifecycles: {
  readonly [Name in AggregateName]: Lifecycle<CommandOf<Name>, EventOf<Name>, StateOf<Name>>
} = { account, job, listing, payment, provider, rental }

export type AnyOutcome = Outcome<string, string>
type Row = Readonly<Record<string, readonly AnyOutcome[]>>

/** One status × command of a table, with all of its outcomes. */
export type Pair = { readonly status: string; readonly command: string; readonly outcomes: readonly AnyOutcome[] }

/** Returns all pairs of an aggregate's table, in its order. */
export const pairsOf = (name: AggregateName): Pair[] =>
  Object.entries<Row>(lifecycles[name]).flatMap(([status, row]) =>
    Object.entries(row).map(([command, outcomes]) => ({ status, command, outcomes })),
  )

/** Returns the statuses in which no command leads to an event. */
export const terminalStatusesOf = (lifecycle: Readonly<Record<string, Row>>): string[] =>
  Object.entries(lifecycle).flatMap(([status, row]) =>
    Object.values(row).every((outcomes) => outcomes.every((outcome) => !hasEvents(outcome))) ? [status] : [],
  )

const hasEvents = (outcome: AnyOutcome) => typeof outcome === 'object' && 'events' in outcome

type Typed = { readonly type: string }

/** Returns what a command leads to in a state, as the tables write it. */
export const outcomeOf = <Command extends Typed, Event extends Typed, State extends { readonly status: string }>(
  { decide, evolve }: Pick<Aggregate<Command, Event, State>, 'decide' | 'evolve'>,
  command: Command,
  state: State,
): AnyOutcome => {
  const answer = decide(command, state)
  if (isRefusal(answer)) return { refused: answer.refused }
  const [first, ...rest] = answer
  if (!first) return 'nothing new'
  const next = answer.reduce(evolve, state).status
  const refused = first.type.endsWith('Refused') ? { refused: (first as unknown as { code: ErrorCode }).code } : {}
  return { events: [first.type, ...rest.map(({ type }) => type)], next, ...refused }
}

/** Returns an outcome as one line: `UsageMetered, RentalEnded → ended`. */
export const describeOutcome = (outcome: AnyOutcome): string => {
  if (outcome === 'nothing new') return outcome
  if (!('events' in outcome)) return `refused ${outcome.refused}`
  return `${outcome.events.join(', ')}${outcome.refused ? ` ${outcome.refused}` : ''} → ${outcome.next}`
}
