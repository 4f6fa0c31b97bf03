import type { EventStore, StoredEvent } from '../infra/event-store/port.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import type { EventRow } from './events.table.ts'
import { isText, readCursor, rowsToRead } from './page.ts'

/** What is narrowed by. Times are ISO 8601 in UTC; `from` belongs to the range, `to` does not, so days join without a seam. */
export type EventFilter = {
  readonly types?: readonly string[] | undefined
  readonly stream?: string | undefined
  readonly correlation?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** `first` asks for the beginning of what lies between the cursors, `last` for its end; the order is the log's either way.
 *  `party`: only the events that are this wallet's business. A cursor is made of a position alone. */
export type EventList = EventFilter & {
  readonly take: { readonly first: number } | { readonly last: number }
  readonly after?: string | undefined
  readonly before?: string | undefined
  readonly party?: string | undefined
}

export type EventPage = {
  readonly events: readonly StoredEvent[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
}

/** Whoever is a party of more streams than these has much of the log, and a walk along it soon fills a page; of fewer, the end of
 *  each stream is looked at. Left to itself, the planner walks for those who have next to nothing (ADR/0020). */
const streamsMergedMaxDefault = 2_000
const readsAtOnceMax = 8
/** Two events of one stream that are no further apart are read with one call. */
const gapMax = 4n

/** What the index says of an event. */
type Found = { readonly id: string; readonly stream: string; readonly revision: bigint }

/** Between which positions the events of some days lie. A time says nothing about the position, for clocks disagree and commands
 *  come late; but each day has a first and a last one, two looks into the index. Without, a page of last year would be looked
 *  for from the end of the log (150 ms per 500,000 events between). Values: the first day and the last. */
const BOUNDS = `
  select min(b.first) as first, max(b.last) as last from generate_series(?::date, ?::date, interval '1 day') d
  cross join lateral (select
    (select e.id from read.events e where e.day = to_char(d, 'YYYY-MM-DD') order by e.id limit 1) as first,
    (select e.id from read.events e where e.day = to_char(d, 'YYYY-MM-DD') order by e.id desc limit 1) as last) b`

/** A page of the log. What is in it comes from its index, the events themselves from the store. Throws INPUT_INVALID. */
export const listEvents = async (
  { read, store }: { readonly read: ReadModels; readonly store: Pick<EventStore, 'readStream'> },
  list: EventList,
  streamsMergedMax = streamsMergedMaxDefault,
): Promise<EventPage> => {
  const backwards = 'last' in list.take
  const rowsMax = rowsToRead({ first: 'last' in list.take ? list.take.last : list.take.first })
  const [after] = readCursor(list.after, [isText]) ?? []
  const [before] = readCursor(list.before, [isText]) ?? []
  const bounds = list.types?.length === 0 ? 'nothing' : await boundsOf(read, list)
  if (bounds === 'nothing') return { events: [], hasNextPage: false, hasPreviousPage: false }
  const range = { ...list, after, before, ...bounds }
  const order = backwards ? 'desc' : 'asc'
  const merged = list.party !== undefined && (await isPartyOfFew(read, list.party, streamsMergedMax))
  const found = await read.run('events.list', (db) =>
    merged ? merge(db, range, list.party ?? '', order, rowsMax) : walk(db, range, list.party, order, rowsMax),
  )
  const more = found.length === rowsMax
  const page = found.slice(0, rowsMax - 1)
  return {
    events: await readAllOf(store, backwards ? page.reverse() : page),
    hasNextPage: backwards ? before !== undefined : more,
    hasPreviousPage: backwards ? more : after !== undefined,
  }
}

type Bounds = { readonly first: string; readonly last: string }

/** The positions within which the time range lies; undefined where there is no range, `nothing` where no event is in it. */
const boundsOf = async (read: ReadModels, { from, to }: EventFilter): Promise<Bounds | 'nothing' | undefined> => {
  if (from === undefined && to === undefined) return undefined
  const days = await read.run('events.days', (db) =>
    db
      .selectFrom('LogEvent')
      .select(({ fn }) => [fn.min('day').as('first'), fn.max('day').as('last')])
      .executeTakeFirst(),
  )
  if (!days?.first) return 'nothing'
  const first = from && from.slice(0, 10) > days.first ? from.slice(0, 10) : days.first
  const last = to && to.slice(0, 10) < days.last ? to.slice(0, 10) : days.last
  const [bounds] = await read.run('events.bounds', () =>
    read.orm.em.fork().execute<{ first: string | null; last: string | null }[]>(BOUNDS, [first, last]),
  )
  return bounds?.first && bounds.last ? { first: bounds.first, last: bounds.last } : 'nothing'
}

const isPartyOfFew = async (read: ReadModels, party: string, streamsMergedMax: number): Promise<boolean> => {
  const streams = await read.run('events.streams', (db) =>
    streamsOf(db, party)
      .limit(streamsMergedMax + 1)
      .execute(),
  )
  return streams.length <= streamsMergedMax
}

/** The streams that are a wallet's business, and from which event on. */
const streamsOf = (db: ReadDatabase, party: string) =>
  db
    .selectFrom('LogEvent')
    .select(({ fn }) => ['stream', fn.min('id').as('since')])
    .where('party', '=', party)
    .groupBy('stream')

type Range = EventFilter & Partial<Bounds> & { readonly after: string | undefined; readonly before: string | undefined }
type Order = 'asc' | 'desc'

/** Rows that pass the filter, from one end of the log. */
const passing = (db: ReadDatabase, range: Range, order: Order, rowsMax: number) => {
  const { types, stream, correlation, from, to, after, before, first, last } = range
  let found = db.selectFrom('LogEvent as e').select(['e.id', 'e.stream', 'e.revision'])
  if (types !== undefined) found = found.where('e.type', 'in', types as EventRow['type'][])
  if (stream !== undefined) found = found.where('e.stream', '=', stream)
  if (correlation !== undefined) found = found.where('e.correlationId', '=', correlation)
  if (from !== undefined) found = found.where('e.updatedAt', '>=', from)
  if (to !== undefined) found = found.where('e.updatedAt', '<', to)
  if (after !== undefined) found = found.where('e.id', '>', after)
  if (before !== undefined) found = found.where('e.id', '<', before)
  if (first !== undefined) found = found.where('e.id', '>=', first)
  if (last !== undefined) found = found.where('e.id', '<=', last)
  return found.orderBy('e.id', order).limit(rowsMax)
}

/** Along the log. */
const walk = (
  db: ReadDatabase,
  range: Range,
  party: string | undefined,
  order: Order,
  rowsMax: number,
): Promise<Found[]> => {
  const rows = passing(db, range, order, rowsMax)
  if (party === undefined) return rows.execute()
  return rows
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('LogEvent as named')
          .select('named.id')
          .where('named.party', '=', party)
          .whereRef('named.stream', '=', 'e.stream')
          .whereRef('named.id', '<=', 'e.id'),
      ),
    )
    .execute()
}

/** From the ends of the streams of one wallet. */
const merge = (db: ReadDatabase, range: Range, party: string, order: Order, rowsMax: number): Promise<Found[]> =>
  db
    .selectFrom(streamsOf(db, party).as('theirs'))
    .innerJoinLateral(
      () =>
        passing(db, range, order, rowsMax)
          .whereRef('e.stream', '=', 'theirs.stream' as never)
          .whereRef('e.id', '>=', 'theirs.since' as never)
          .as('found'),
      (join) => join.onTrue(),
    )
    .select(['found.id', 'found.stream', 'found.revision'])
    .orderBy('found.id', order)
    .limit(rowsMax)
    .execute()

/** The events that the index names, in its order. Those of one stream that lie close together are read with one call. */
const readAllOf = async (
  store: Pick<EventStore, 'readStream'>,
  found: readonly Found[],
): Promise<readonly StoredEvent[]> => {
  const runs: { stream: string; from: bigint; to: bigint }[] = []
  const sorted = found.toSorted((a, b) =>
    a.stream === b.stream ? Number(a.revision - b.revision) : a.stream < b.stream ? -1 : 1,
  )
  for (const { stream, revision } of sorted) {
    const run = runs.at(-1)
    if (run?.stream === stream && revision - run.to <= gapMax) run.to = revision
    else runs.push({ stream, from: revision, to: revision })
  }
  const events = new Map<string, StoredEvent>()
  for (let first = 0; first < runs.length; first += readsAtOnceMax)
    await Promise.all(
      runs.slice(first, first + readsAtOnceMax).map(async ({ stream, from, to }) => {
        for await (const event of store.readStream(stream, { from, limit: Number(to - from) + 1 }))
          events.set(event.position, event)
      }),
    )
  return found.map(({ id, stream, revision }) => {
    const event = events.get(id)
    if (!event)
      throw new Error(`The index of the log names event ${revision} of ${stream}, which the store does not have`)
    return event
  })
}
