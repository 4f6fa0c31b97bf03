import { Failure } from '../../../domain/errors.ts'
import type { Query, Retry } from '../../postgres.ts'
import type { AllRange, Filter, StoredEvent, StreamRange } from '../port.ts'
import type { Positions } from '../position.ts'
import { isName, isUtcTime, revisionMax } from '../validation.ts'
import { createPages, type Pages } from './pages.ts'
import { type Bind, columnsOf, createEventRows, type Read } from './rows.ts'

const pageRowsFirst = 200
const pageRowsMax = 2_000
/** A page is cut so that its JSON stays about this large, judged by the page before. */
const pageCharactersWanted = 4 * 1024 * 1024

const HEAD = 'select coalesce((select e.position from log.events e order by e.position desc limit 1), 0)::text'

/** The first revision that is later than a moment. A stream as of then ends before it, so that it is a history that was:
 *  leaving out single events would tear holes where clocks disagree. */
const FIRST_LATER = `
select min(e.version)::text from log.events e
where e.stream_id = $1 and (e.metadata ->> 'time')::timestamptz > $2::timestamptz`

/** Walks the index (stream_id, version); no other plan comes near, so it is made once per connection. */
const streamStatement = ({ stream, low, high, lastPosition, order, rowsMax }: StreamPage, bind: Bind): string => `
select ${columnsOf('e')} from log.events e
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
  /** What passes, forwards. */
  pages(filter: Filter): Pages
  readStream(stream: string, range?: StreamRange): AsyncGenerator<StoredEvent>
  readAll(range?: AllRange): AsyncGenerator<StoredEvent>
}

const nextPageRows = (page: Read, before: number): number =>
  page.characters === 0 ? before : rowsFor(pageCharactersWanted, page, pageRowsMax)

/** As many rows as come to so many characters, when they are like these. */
export const rowsFor = (charactersMax: number, { events, characters }: Read, rowsMax: number): number =>
  Math.max(1, Math.min(rowsMax, Math.floor((charactersMax * events.length) / (characters + 1))))

const least = (a: bigint, b: bigint) => (a < b ? a : b)
const most = (a: bigint, b: bigint) => (a > b ? a : b)

/** Walks page by page and asks for the next one while the caller is busy with the last. */
async function* walk<Cursor, Found>(
  first: Cursor,
  fetch: (cursor: Cursor) => Promise<{ readonly found: Found; readonly next: Cursor | undefined }>,
): AsyncGenerator<Found> {
  let coming = fetch(first)
  for (;;) {
    const { found, next } = await coming
    if (next !== undefined) {
      coming = fetch(next)
      coming.catch(() => undefined) // a caller may stop before it gets there
    }
    yield found
    if (next === undefined) return
  }
}

/** The reading half of the store. Reads are repeated by themselves while the database is away for a moment. */
export const createReader = ({
  query,
  positions,
}: {
  readonly query: Query
  readonly positions: Positions
}): Reader => {
  const rows = createEventRows({ query, positions })
  const asked = { rowMode: 'array', retry: true } as const

  const head: Reader['head'] = async (options) => {
    const [row] = await query<[string]>('eventStore.head', HEAD, [], { ...options, rowMode: 'array' })
    return BigInt(row?.[0] ?? '0')
  }

  const laterThan = async (stream: string, moment: string): Promise<bigint | undefined> => {
    const [row] = await query<[string | null]>('eventStore.asOf', FIRST_LATER, [stream, moment], asked)
    return row?.[0] == null ? undefined : BigInt(row[0])
  }

  async function* readStream(stream: string, range: StreamRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', from, limit = Number.POSITIVE_INFINITY, untilTime, untilPosition } = range
    const lastPosition = untilPosition === undefined ? revisionMax : positions.numberOf(untilPosition)
    if (untilTime !== undefined && !isUtcTime(untilTime)) throw new Failure('INPUT_INVALID', { untilTime })
    if (!isName(stream)) return
    const later = untilTime === undefined ? undefined : await laterThan(stream, untilTime)
    const backwards = direction === 'backwards'
    const bottom = backwards ? 0n : least(most(from ?? 0n, 0n), revisionMax)
    const top = least(later === undefined ? revisionMax : later - 1n, backwards ? (from ?? revisionMax) : revisionMax)
    if (limit <= 0 || top < bottom) return
    const order = backwards ? 'desc' : 'asc'
    const first = { edge: backwards ? top : bottom, left: limit, rowsMax: pageRowsFirst, isFirst: true }
    const pages = walk(first, async (cursor) => {
      const rowsMax = Math.min(cursor.rowsMax, cursor.left)
      const [low, high] = backwards ? [bottom, cursor.edge] : [cursor.edge, top]
      const text = (bind: Bind) => streamStatement({ stream, low, high, lastPosition, order, rowsMax }, bind)
      const selection = { label: 'eventStore.readStream', text, rowsMax, retry: true }
      // Most streams are read whole by the first page.
      const page = await (cursor.isFirst
        ? rows.read(selection, `event_store_read_stream_${order}`)
        : rows.copy(selection))
      const { events } = page
      const last = events.at(-1)
      const left = cursor.left - events.length
      const edge = last && last.revision + (backwards ? -1n : 1n)
      const more = edge !== undefined && events.length === rowsMax && left > 0 && edge >= bottom && edge <= top
      const next = more ? { edge, left, rowsMax: nextPageRows(page, cursor.rowsMax), isFirst: false } : undefined
      return { found: events, next }
    })
    for await (const events of pages) yield* events
  }

  async function* readAll(range: AllRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = range
    const after = range.after === undefined ? undefined : positions.numberOf(range.after)
    const end = await head({ retry: true })
    const backwards = direction === 'backwards'
    const bottom = backwards ? 1n : (after ?? 0n) + 1n
    const top = backwards && after !== undefined ? least(after - 1n, end) : end
    if (limit <= 0 || top < bottom) return
    const pages = createPages({ rows, positions, filter: range, direction: backwards ? 'desc' : 'asc' })
    const found = walk({ low: bottom, high: top, left: limit, rowsMax: pageRowsFirst }, async (cursor) => {
      const wanted = Math.min(cursor.rowsMax, cursor.left)
      const page = await pages.next(cursor.low, cursor.high, wanted, { retry: true })
      const { events, through } = page
      const rest = backwards ? { low: cursor.low, high: through - 1n } : { low: through + 1n, high: cursor.high }
      const left = cursor.left - events.length
      const more = left > 0 && rest.low <= rest.high
      const rowsMax = nextPageRows(page, cursor.rowsMax)
      return { found: events, next: more ? { ...rest, left, rowsMax } : undefined }
    })
    for await (const events of found) yield* events
  }

  return { head, pages: (filter) => createPages({ rows, positions, filter }), readStream, readAll }
}
