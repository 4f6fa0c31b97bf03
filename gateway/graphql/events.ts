import { type DomainEvent, eventSchemas } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { StoredEvent } from '../../infra/event-store/port.ts'
import { followEvents } from '../../projections/event-follow.ts'
import { type EventFilter, type EventList, listEvents } from '../../projections/event-list.ts'
import { redactFreeText } from '../auth/redaction.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition, requireWallet } from './context.ts'
import { limited } from './input-limits.ts'
import { streamLimit, withoutNulls } from './inputs.ts'
import { atLeastArgument, connectionOf, cursorLimit, firstDefault, toConnection } from './pages.ts'
import { afterArgument, cancellable, resumePosition } from './subscriptions.ts'

// The node

type ShownEvent = StoredEvent & { readonly withheld: readonly string[] }

const Event = builder.objectRef<ShownEvent>('Event')
Event.implement({
  description: 'One event of the log, as it was stored. Events are never changed.',
  fields: (t) => ({
    id: t.exposeID('id'),
    type: t.exposeString('type', { description: 'The type of the event, as in docs/events.md.' }),
    schemaVersion: t.int({
      description: 'The version of the schema of data, counted from 1.',
      resolve: ({ metadata }) => metadata.schemaVersion,
    }),
    stream: t.exposeString('stream', { description: 'The stream of its aggregate: "rental-…", "account-…".' }),
    revision: t.string({
      description: 'Its number in the stream, counted from 0, as decimal text.',
      resolve: ({ revision }) => String(revision),
    }),
    position: t.expose('position', { type: 'Position', description: 'Its position in the log.' }),
    time: t.field({ type: 'DateTime', resolve: ({ metadata }) => metadata.time }),
    actor: t.string({
      description: 'The origin of the command: "user:" and a wallet, or "system:" and a part of the platform.',
      resolve: ({ metadata }) => metadata.actor,
    }),
    commandId: t.id({ description: 'The command that caused it.', resolve: ({ metadata }) => metadata.commandId }),
    correlationId: t.id({
      description: 'The same for all events that follow from one request.',
      resolve: ({ metadata }) => metadata.correlationId,
    }),
    causationId: t.id({
      description: 'The event or command that directly caused it.',
      resolve: ({ metadata }) => metadata.causationId,
    }),
    data: t.field({
      type: 'JSON',
      description: 'The fields of the event. Unbounded integers, such as amounts in minor units, are decimal text.',
      resolve: ({ data }) => data,
    }),
    withheld: t.stringList({
      description: 'The fields left out of data: free text of others is hidden from analysts and auditors.',
      resolve: ({ withheld }) => [...withheld],
    }),
  }),
})

// Access

/** Returns the wallet whose events the caller may see (undefined: all events), and whether they are shown with all
 *  their fields. Throws NOT_SIGNED_IN. */
const scopeOf = (
  context: Context,
  mine: boolean,
): { readonly party: string | undefined; readonly unredacted: boolean } => {
  const wallet = requireWallet(context)
  if (mine || context.privilege === 'none') return { party: wallet, unredacted: true }
  return { party: undefined, unredacted: context.privilege === 'operator' }
}

/** Returns an event as the caller may see it. */
const show = (event: StoredEvent, unredacted: boolean): ShownEvent => ({
  ...event,
  ...(unredacted ? { withheld: [] } : redactFreeText(event)),
})

// The filter

const types = Object.keys(eventSchemas) as DomainEvent['type'][]
const EventType = builder.enumType('EventType', { description: 'See docs/events.md.', values: types })

const EventFilterInput = builder.inputType('EventFilter', {
  description: 'An event must match all given fields.',
  fields: (t) => ({
    types: t.field({ type: [EventType], ...limited({ itemsMax: types.length }) }),
    stream: t.string({ description: 'The whole name of one stream: "rental-…".', ...limited(streamLimit) }),
    correlation: t.id({ description: 'The events that follow from one request.' }),
    from: t.field({ type: 'DateTime', description: 'The earliest time of the event, inclusive.' }),
    to: t.field({ type: 'DateTime', description: 'The latest time of the event, exclusive.' }),
    mine: t.boolean({
      description: 'Only the own events of the viewer. Always true for a wallet without a privilege.',
    }),
  }),
})

const parseFilter = (input: typeof EventFilterInput.$inferInput | null | undefined) => {
  const { mine = false, ...filter } = withoutNulls(input ?? {})
  return { mine, filter: filter as EventFilter }
}

// Query

/** Returns the direction and size of a page, from Relay's `first` or `last`. Throws INPUT_INVALID for both. */
const parseTake = (first: number | null | undefined, last: number | null | undefined): EventList['take'] => {
  if (last === null || last === undefined) return { first: first ?? firstDefault }
  if (first !== null && first !== undefined)
    throw new Failure('INPUT_INVALID', { first: 'takes one of first and last' })
  return { last }
}

builder.queryField('events', (t) =>
  t.field({
    type: connectionOf('Event', Event),
    description:
      'The events of the log, in its order. Operators, auditors and analysts see all events. Other wallets see the events of their account, payments, jobs and listings, their events as a provider, and those of their rentals: as renter all of them, as provider from the moment they became the provider.',
    args: {
      filter: t.arg({ type: EventFilterInput }),
      first: t.arg.int({
        description: `The number of events from the start, 1 to 100; ${firstDefault} when neither first nor last is given.`,
      }),
      after: t.arg.string({ description: 'A cursor: only events after it.', ...limited(cursorLimit) }),
      last: t.arg.int({ description: 'The number of events from the end, 1 to 100.' }),
      before: t.arg.string({ description: 'A cursor: only events before it.', ...limited(cursorLimit) }),
      ...atLeastArgument,
    },
    resolve: async (_, { filter: input, first, last, after, before, atLeast }, context, info) => {
      const { mine, filter } = parseFilter(input)
      const { party, unredacted } = scopeOf(context, mine)
      await reachPosition(context, atLeast, info)
      const take = parseTake(first, last)
      const { events, ...page } = await listEvents(context.services, {
        ...filter,
        ...withoutNulls({ after, before }),
        take,
        party,
      })
      const rows = events.map((event) => show(event, unredacted))
      return toConnection({ ...page, rows, endCursor: undefined }, {}, ({ position }) => [position])
    },
  }),
)

// Subscription

builder.subscriptionField('events', (t) =>
  t.field({
    type: Event,
    description:
      'Each event as it is stored, if the query would show it to the viewer. Pass its position as after to resume.',
    args: { filter: t.arg({ type: EventFilterInput }), ...afterArgument },
    subscribe: (_, { filter: input, after }, context) => {
      const { store } = context.services
      const { mine, filter } = parseFilter(input)
      const { party, unredacted } = scopeOf(context, mine)
      return cancellable(context.closing, async function* (signal) {
        // Those who may read the whole log may also resume anywhere.
        const resume = await resumePosition(context.services, after, { isBounded: context.privilege === 'none' })
        const options = { store, filter, party, after: resume, catchUp: context.catchUp, signal }
        for await (const event of followEvents(options)) yield show(event, unredacted)
      })
    },
    resolve: (event) => event,
  }),
)
