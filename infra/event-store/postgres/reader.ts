import { Failure } from '../../../domain/errors.ts'
import type { Retry } from '../../postgres.ts'
import { maxOf, minOf } from '../bigint.ts'
import type { AllRange, Filter, StoredEvent, StreamRange } from '../port.ts'
import type { Positions } from '../position.ts'
import { isName, isUtcTime, revisionMax } from '../validation.ts'
import type { KnownInPostgres } from './known.ts'
import { createPages, type Pages } from './pages.ts'
import { type BindValue, createEventRows, type EventsRead, pageBytesMax } from './rows.ts'

const pageRowsFirst = 200
const pageRowsMax = 2_000

const HEAD = 'select coalesce((select e.position from log.events e order by e.position desc limit 1), 0)::text where'

/** Selects the first revision whose time is later than a moment. A stream as of that moment ends before it, so the
 *  result is always a state of the past: leaving out single events would create gaps where clocks disagree. */
const FIRST_REVISION_AFTER = `
select min(e.version)::text from log.events e
where e.stream_id = $1 and (e.metadata ->> 'time')::timestamptz > $2::timestamptz`

/** Follows the index (stream_id, version). This plan is always the best one, so it is made once per connection. */
const streamStatement = ({ stream, low, high, lastPosition, order, rowsMax }: StreamPage, bind: BindValue): string => `
select * from log.events e
where e.stream_id = ${bind(stream)} and e.version >= ${bind(low)}::bigint and e.version <= ${bind(high)}::bigint
  and e.position <= ${bind(lastPosition)}::bigint
order by e.version ${order} limit ${bind(rowsMax)}`

type StreamPage = {
  readonly stream: string
  /** Revisions, both included. */
  readonly low: bigint
  readonly high: bigint
  readonly lastPosition: bigint
  readonly order: 'asc' | 'desc'
  readonly rowsMax: number
}

export type Reader = {
  head(options?: Retry): Promise<bigint>
  /** Creates a reader of the events that pass the filter, forwards. */
  pages(filter: Filter): Pages
  readStream(stream: string, range?: StreamRange): AsyncGenerator<StoredEvent>
  readAll(range?: AllRange): AsyncGenerator<StoredEvent>
}

/** Returns how many rows the next page asks for: a page is cut by its bytes, but the database weighs all rows that it is
 *  asked for. */
const nextPageRows = (page: EventsRead, before: number): number =>
  page.isFull ? rowsFitting(pageBytesMax, page, pageRowsMax) : before

/** Returns how many rows fit into so many bytes, when they are like the rows of this page. */
export const rowsFitting = (bytesMax: number, { events, bytes }: EventsRead, rowsMax: number): number =>
  Math.max(1, Math.min(rowsMax, Math.floor((bytesMax * events.length) / (bytes + 1))))

/** Yields page by page, and fetches the next page while the caller processes the last. */
async function* prefetchPages<Cursor, Page>(
  first: Cursor,
  fetch: (cursor: Cursor) => Promise<{ readonly page: Page; readonly next: Cursor | undefined }>,
): AsyncGenerator<Page> {
  let upcoming = fetch(first)
  for (;;) {
    const { page, next } = await upcoming
    if (next !== undefined) {
      upcoming = fetch(next)
      upcoming.catch(() => undefined) // the caller may stop before it reads this page
    }
    yield page
    if (next === undefined) return
  }
}

/** Creates the reading half of the store. Reads are retried automatically during a short outage of the database. */
export const createReader = ({
  known,
  positions,
}: {
  readonly known: KnownInPostgres
  readonly positions: Positions
}): Reader => {
  const { query } = known
  const rows = createEventRows({ known, positions })
  const readOptions = { rowMode: 'array', retry: true } as const

  const head: Reader['head'] = async (options) => {
    const values: unknown[] = []
    const text = `${HEAD} ${known.condition((value) => `$${values.push(value)}`)}`
    const name = known.named('event_store_head')
    const [row] = await query<[string]>('eventStore.head', text, values, { ...options, rowMode: 'array', name })
    return BigInt(row?.[0] ?? '0')
  }

  const firstRevisionAfter = async (stream: string, moment: string): Promise<bigint | undefined> => {
    const [row] = await query<[string | null]>('eventStore.asOf', FIRST_REVISION_AFTER, [stream, moment], readOptions)
    return row?.[0] == null ? undefined : BigInt(row[0])
  }

  async function* readStream(stream: string, range: StreamRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', from, limit = Number.POSITIVE_INFINITY, untilTime, untilPosition } = range
    const lastPosition = untilPosition === undefined ? revisionMax : positions.numberOf(untilPosition)
    if (untilTime !== undefined && !isUtcTime(untilTime)) throw new Failure('INPUT_INVALID', { untilTime })
    if (!isName(stream)) return
    const later = untilTime === undefined ? undefined : await firstRevisionAfter(stream, untilTime)
    const backwards = direction === 'backwards'
    const bottom = backwards ? 0n : minOf(maxOf(from ?? 0n, 0n), revisionMax)
    const top = minOf(later === undefined ? revisionMax : later - 1n, backwards ? (from ?? revisionMax) : revisionMax)
    if (limit <= 0 || top < bottom) return
    const order = backwards ? 'desc' : 'asc'
    const first = { edge: backwards ? top : bottom, left: limit, rowsMax: pageRowsFirst, isFirst: true }
    const pages = prefetchPages(first, async (cursor) => {
      const rowsMax = Math.min(cursor.rowsMax, cursor.left)
      const [low, high] = backwards ? [bottom, cursor.edge] : [cursor.edge, top]
      const select = (bind: BindValue) => streamStatement({ stream, low, high, lastPosition, order, rowsMax }, bind)
      const orderBy = `version ${order}` as const
      const eventQuery = { label: 'eventStore.readStream', select, orderBy, rowsMax, retry: true }
      // The first page holds most streams entirely.
      const page = await (cursor.isFirst
        ? rows.read(eventQuery, `event_store_read_stream_${order}`)
        : rows.copy(eventQuery))
      const { events } = page
      const last = events.at(-1)
      const left = cursor.left - events.length
      const edge = last && last.revision + (backwards ? -1n : 1n)
      const more = edge !== undefined && page.isFull && left > 0 && edge >= bottom && edge <= top
      const next = more ? { edge, left, rowsMax: nextPageRows(page, cursor.rowsMax), isFirst: false } : undefined
      return { page: events, next }
    })
    for await (const events of pages) yield* events
  }

  async function* readAll(range: AllRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = range
    const after = range.after === undefined ? undefined : positions.numberOf(range.after)
    const end = await head({ retry: true })
    const backwards = direction === 'backwards'
    const bottom = backwards ? 1n : (after ?? 0n) + 1n
    const top = backwards && after !== undefined ? minOf(after - 1n, end) : end
    if (limit <= 0 || top < bottom) return
    const pages = createPages({ rows, positions, filter: range, direction: backwards ? 'desc' : 'asc' })
    const eventPages = prefetchPages(
      { low: bottom, high: top, left: limit, rowsMax: pageRowsFirst },
      async (cursor) => {
        const count = Math.min(cursor.rowsMax, cursor.left)
        const page = await pages.next(cursor.low, cursor.high, count, { retry: true })
        const { events, through } = page
        const rest = backwards ? { low: cursor.low, high: through - 1n } : { low: through + 1n, high: cursor.high }
        const left = cursor.left - events.length
        const more = left > 0 && rest.low <= rest.high
        const rowsMax = nextPageRows(page, cursor.rowsMax)
        return { page: events, next: more ? { ...rest, left, rowsMax } : undefined }
      },
    )
    for await (const events of eventPages) yield* events
  }

  return { head, pages: (filter) => createPages({ rows, positions, filter }), readStream, readAll }
}
