import { isStorable } from '../domain/text.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { EventStore, StoredEvent } from '../infra/event-store/port.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import type { EventRow } from './events.table.ts'
import { readCursor, rowsToRead } from './page.ts'

/** A filter of events. Times are ISO 8601 in UTC; `from` is included and `to` is not, so that adjacent days do not
 *  overlap. */
export type EventFilter = {
  readonly types?: readonly string[] | undefined
  readonly stream?: string | undefined
  readonly correlation?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** A request for a page of events. `first` takes the beginning of the range between the cursors, `last` takes its end;
 *  the order is that of the log either way. `party`: only events of streams that name this wallet. A cursor consists of
 *  a position alone. */
export type EventList = EventFilter & {
  readonly take: { readonly first: number } | { readonly last: number }
  readonly after?: string | undefined
  readonly before?: string | undefined
  readonly party?: string | undefined
}

/** A page of events in the order of the log. */
export type EventPage = {
  readonly events: readonly StoredEvent[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
}

/** The most streams of one wallet that are merged from their ends. A wallet with more streams has so much of the log
 *  that a scan along it soon fills a page. Without this bound the planner scans the log even for wallets with very few
 *  streams (ADR/0020). */
const streamsMergedMaxDefault = 2_000
const readsAtOnceMax = 8
/** Two events of one stream are read with one call if their revisions differ by no more than this. */
const gapMax = 4n

/** An event as the index names it. */
type IndexEntry = { readonly id: string; readonly stream: string; readonly revision: bigint }

/** Selects the positions between which the events of some days are. A time does not determine a position, because
 *  clocks disagree and commands come late. But each day has a first and a last position, found by two lookups in the
 *  index. Without these bounds, a page of last year would be searched from the end of the log (150 ms per 500,000
 *  events between). Values: the first day and the last. */
const BOUNDS = `
  select min(b.first) as first, max(b.last) as last from generate_series(?::date, ?::date, interval '1 day') d
  cross join lateral (select
    (select e.id from read.events e where e.day = to_char(d, 'YYYY-MM-DD') order by e.id limit 1) as first,
    (select e.id from read.events e where e.day = to_char(d, 'YYYY-MM-DD') order by e.id desc limit 1) as last) b`

/** Resolves to a page of the log. The index of the log finds its events, which are then read from the store. Throws
 *  INPUT_INVALID. */
export const listEvents = async (
  { read, store }: { readonly read: ReadModels; readonly store: Pick<EventStore, 'readStream'> },
  list: EventList,
  streamsMergedMax = streamsMergedMaxDefault,
): Promise<EventPage> => {
  const backwards = 'last' in list.take
  const rowsMax = 'last' in list.take ? rowsToRead({ first: list.take.last }, 'last') : rowsToRead(list.take)
  const [after] = readCursor(list.after, [isStorable]) ?? []
  const [before] = readCursor(list.before, [isStorable], 'before') ?? []
  const bounds = list.types?.length === 0 ? 'nothing' : await boundsOf(read, list)
  if (bounds === 'nothing') return { events: [], hasNextPage: false, hasPreviousPage: false }
  const range = { ...list, after, before, ...bounds }
  const order = backwards ? 'desc' : 'asc'
  const merged = list.party !== undefined && (await isPartyOfFew(read, list.party, streamsMergedMax))
  const found = await read.run('events.list', (db) =>
    merged ? mergeStreams(db, range, list.party ?? '', order, rowsMax) : scanLog(db, range, list.party, order, rowsMax),
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

/** Resolves to the positions that bound the time range; to undefined without a time range, to `nothing` when no event
 *  is in it. */
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

/** Selects the streams that name a wallet as a party, with the position of the first event that does. */
const streamsOf = (db: ReadDatabase, party: string) =>
  db
    .selectFrom('LogEvent')
    .select(({ fn }) => ['stream', fn.min('id').as('since')])
    .where('party', '=', party)
    .groupBy('stream')

type Range = EventFilter & Partial<Bounds> & { readonly after: string | undefined; readonly before: string | undefined }
type Order = 'asc' | 'desc'

/** Selects rows that pass the filter, from one end of the log. */
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

/** Resolves to the entries on a page by a scan along the log. */
const scanLog = (
  db: ReadDatabase,
  range: Range,
  party: string | undefined,
  order: Order,
  rowsMax: number,
): Promise<IndexEntry[]> => {
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

/** Resolves to the entries on a page by merging the ends of the streams of one wallet. */
const mergeStreams = (
  db: ReadDatabase,
  range: Range,
  party: string,
  order: Order,
  rowsMax: number,
): Promise<IndexEntry[]> =>
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

/** Resolves to the events of index entries, in their order. Events of one stream that are close together are read with
 *  one call. */
const readAllOf = async (
  store: Pick<EventStore, 'readStream'>,
  found: readonly IndexEntry[],
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
  const readRun = async ({ stream, from, to }: (typeof runs)[number]) => {
    for await (const event of store.readStream(stream, { from, limit: Number(to - from) + 1 }))
      events.set(event.position, event)
  }
  await inChunks(runs, readsAtOnceMax, (chunk) => Promise.all(chunk.map(readRun)))
  return found.map(({ id, stream, revision }) => {
    const event = events.get(id)
    if (!event) throw new Error(`The index of the log has event ${revision} of ${stream}, but the store does not`)
    return event
  })
}
