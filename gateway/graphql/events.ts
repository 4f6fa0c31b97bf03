import { aggregates, type DomainEvent } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { StoredEvent } from '../../infra/event-store/port.ts'
import { followEvents } from '../../projections/event-follow.ts'
import { type EventFilter, type EventList, listEvents } from '../../projections/event-list.ts'
import { redactFreeText } from '../auth/redaction.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition, requireWallet } from './context.ts'
import { withoutNulls } from './inputs.ts'
import { atLeastArgument, connectionOf, firstDefault, toConnection } from './pages.ts'
import { afterArgument, cancellable, parsePosition } from './subscriptions.ts'

// The node

type ShownEvent = StoredEvent & { readonly withheld: readonly string[] }

const Event = builder.objectRef<ShownEvent>('Event')
Event.implement({
  description: 'One fact of the log, as it was written. Facts are never changed.',
  fields: (t) => ({
    id: t.exposeID('id'),
    type: t.exposeString('type', { description: 'What happened, as in docs/events.md.' }),
    schemaVersion: t.int({
      description: 'Of the type, counted from 1: the shape of the data.',
      resolve: ({ metadata }) => metadata.schemaVersion,
    }),
    stream: t.exposeString('stream', { description: 'What it happened to: "rental-…", "account-…".' }),
    revision: t.string({
      description: 'Counts from 0 in its stream, as decimal text.',
      resolve: ({ revision }) => String(revision),
    }),
    position: t.expose('position', { type: 'Position', description: 'Its place among all events.' }),
    time: t.field({ type: 'DateTime', resolve: ({ metadata }) => metadata.time }),
    actor: t.string({
      description: 'Who asked for it: "user:" and a wallet, or "system:" and a part of the platform.',
      resolve: ({ metadata }) => metadata.actor,
    }),
    commandId: t.id({ description: 'The request that caused it.', resolve: ({ metadata }) => metadata.commandId }),
    correlationId: t.id({
      description: 'Shared by all that followed from one request.',
      resolve: ({ metadata }) => metadata.correlationId,
    }),
    causationId: t.id({
      description: 'The event or command directly before.',
      resolve: ({ metadata }) => metadata.causationId,
    }),
    data: t.field({
      type: 'JSON',
      description: 'Its fields. Whole numbers without bound, such as amounts in minor units, are decimal text.',
      resolve: ({ data }) => data,
    }),
    withheld: t.stringList({
      description: 'The fields left out of data: what others wrote, an analyst is not shown.',
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

const types = Object.values(aggregates).flatMap(({ schemas }) => Object.keys(schemas)) as DomainEvent['type'][]
const EventType = builder.enumType('EventType', { description: 'See docs/events.md.', values: types })

const EventFilterInput = builder.inputType('EventFilter', {
  description: 'What is given must all hold.',
  fields: (t) => ({
    types: t.field({ type: [EventType] }),
    stream: t.string({ description: 'One stream, by its whole name: "rental-…".' }),
    correlation: t.id({ description: 'All that followed from one request.' }),
    from: t.field({ type: 'DateTime', description: 'By the time of the event; this moment included.' }),
    to: t.field({ type: 'DateTime', description: 'By the time of the event; this moment not included.' }),
    mine: t.boolean({ description: 'Only what is the business of the viewer. Always so without a privilege.' }),
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
      'The log, in its order. Operators and analysts see all of it; others what is their business: the events of their account, payments, jobs, listings, of themselves as provider, of rentals as renter, and as provider from when it became theirs.',
    args: {
      filter: t.arg({ type: EventFilterInput }),
      first: t.arg.int({
        description: `How many from the beginning, 1 to 100; ${firstDefault} when last is not given either.`,
      }),
      after: t.arg.string({ description: 'A cursor: only what comes behind it.' }),
      last: t.arg.int({ description: 'How many from the end, 1 to 100.' }),
      before: t.arg.string({ description: 'A cursor: only what comes before it.' }),
      ...atLeastArgument,
    },
    resolve: async (_, { filter: input, first, last, after, before, atLeast }, context) => {
      const { mine, filter } = parseFilter(input)
      const { party, unredacted } = scopeOf(context, mine)
      await reachPosition(context, atLeast)
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
    description: 'Each event as it is written, to whom the query would show it. Resume after its position.',
    args: { filter: t.arg({ type: EventFilterInput }), ...afterArgument },
    subscribe: (_, { filter: input, after }, context) => {
      const { store } = context.services
      const { mine, filter } = parseFilter(input)
      const { party, unredacted } = scopeOf(context, mine)
      const options = { store, filter, party, after: parsePosition(store, after) }
      return cancellable(context.closing, async function* (signal) {
        for await (const event of followEvents({ ...options, signal })) yield show(event, unredacted)
      })
    },
    resolve: (event) => event,
  }),
)
