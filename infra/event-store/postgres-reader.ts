import { Failure } from '../../domain/errors.ts'
import type { Query, QueryOptions } from '../postgres.ts'
import { isName, isNamePrefix, isUtcTime, revisionMax } from './checks.ts'
import type { AllRange, Filter, Json, Metadata, StoredEvent, StreamRange } from './port.ts'
import type { Positions } from './position.ts'

const pageRowsFirst = 200
const pageRowsMax = 2_000
/** A page is cut so that its JSON stays about this large, judged by the page before. */
const pageCharactersWanted = 4 * 1024 * 1024
/** How far one filtered statement looks: so none runs long, and a reader to whom nothing passes still gets on. */
const windowPositions = 50_000n

/** Numbers and JSON as text: they are read here, whatever parsers the driver was given. */
const COLUMNS =
  'e.position::text, e.stream_id, e.version::text, e.event_id::text, e.type, e.data::text, e.metadata::text'

const HEAD = 'select coalesce((select e.position from log.events e order by e.position desc limit 1), 0)::text'

/** The first revision that is later than a moment. A stream as of then ends before it, so that it is a history that was:
 *  leaving out single events would tear holes where clocks disagree. */
const FIRST_LATER = `
select min(e.version)::text from log.events e
where e.stream_id = $1 and (e.metadata ->> 'time')::timestamptz > $2::timestamptz`

/** Walks the index (stream_id, version). $1 stream, $2 and $3 the revisions, both included, $4 last position, $5 rows. */
const streamStatement = (order: 'asc' | 'desc') => `
select ${COLUMNS} from log.events e
where e.stream_id = $1 and e.version >= $2::bigint and e.version <= $3::bigint and e.position <= $4::bigint
order by e.version ${order} limit $5`

/** Walks the primary key. No snapshot horizon (xmin): writers hold one lock until their commit is visible, so whoever sees
 *  position n sees all below it; a horizon would stop the tail behind an idle transaction in any database (contract case).
 *  $1 and $2 the positions, both included, $3 rows. A prefix is a range of bytes and not LIKE, which has wildcards. */
const allStatement = (order: 'asc' | 'desc', filter: FilterSql) => `
select ${COLUMNS} from log.events e
where e.position >= $1::bigint and e.position <= $2::bigint${filter.conditions}
order by e.position ${order} limit $3`

type Row = readonly [string, string, string, string, string, string, string]
type FilterSql = { readonly conditions: string; readonly values: readonly unknown[]; readonly filtered: boolean }

export type Page = { readonly events: readonly StoredEvent[]; readonly through: bigint }

export type Reader = {
  head(options?: QueryOptions): Promise<bigint>
  /** Up to `rowsMax` events after one position and up to another, and how far it looked: at least one position further. */
  pageAfter(after: bigint, upTo: bigint, rowsMax: number, filter: Filter, options?: QueryOptions): Promise<Page>
  readStream(stream: string, range?: StreamRange): AsyncGenerator<StoredEvent>
  readAll(range?: AllRange): AsyncGenerator<StoredEvent>
}

/** The least text above all that begin with the prefix, in the order of their bytes; undefined when there is none. */
export const afterPrefix = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

const nothing: FilterSql = { conditions: ' and false', values: [], filtered: true }

const filterSql = ({ types, streamPrefix }: Filter, firstBind: number): FilterSql => {
  const values: unknown[] = []
  const bind = (value: unknown) => `$${firstBind + values.push(value) - 1}`
  let conditions = ''
  if (types) conditions += ` and e.type = any(${bind(types.filter(isName))}::text[])`
  if (streamPrefix) {
    if (!isNamePrefix(streamPrefix)) return nothing
    const end = afterPrefix(streamPrefix)
    conditions += ` and e.stream_id >= ${bind(streamPrefix)}`
    if (end !== undefined) conditions += ` and e.stream_id < ${bind(end)}`
  }
  return { conditions, values, filtered: conditions !== '' }
}

const nextPageRows = (rows: readonly Row[], before: number): number => {
  if (rows.length === 0) return before
  const characters = rows.reduce((sum, row) => sum + row[5].length + row[6].length, 0)
  return Math.max(1, Math.min(pageRowsMax, Math.floor((pageCharactersWanted * rows.length) / (characters + 1))))
}

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
  const asked = { rowMode: 'array', retry: true } as const

  const toEvent = ([position, stream, revision, id, type, data, metadata]: Row): StoredEvent => ({
    id,
    type,
    data: JSON.parse(data) as Json,
    metadata: JSON.parse(metadata) as Metadata,
    stream,
    revision: BigInt(revision),
    position: positions.of(position),
  })

  const head: Reader['head'] = async (options) => {
    const [row] = await query<[string]>('eventStore.head', HEAD, [], { ...options, rowMode: 'array' })
    return BigInt(row?.[0] ?? '0')
  }

  const pageAfter: Reader['pageAfter'] = async (after, upTo, rowsMax, filter, options) => {
    const sql = filterSql(filter, 4)
    const end = sql.filtered ? least(upTo, after + windowPositions) : upTo
    const values = [after + 1n, end, rowsMax, ...sql.values]
    const rows = await query<Row>('eventStore.readAll', allStatement('asc', sql), values, {
      ...options,
      rowMode: 'array',
    })
    const last = rows.at(-1)
    return { events: rows.map(toEvent), through: rows.length === rowsMax && last ? BigInt(last[0]) : end }
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
    const text = streamStatement(backwards ? 'desc' : 'asc')
    const pages = walk({ edge: backwards ? top : bottom, left: limit, rowsMax: pageRowsFirst }, async (cursor) => {
      const wanted = Math.min(cursor.rowsMax, cursor.left)
      const [low, high] = backwards ? [bottom, cursor.edge] : [cursor.edge, top]
      const rows = await query<Row>('eventStore.readStream', text, [stream, low, high, lastPosition, wanted], asked)
      const last = rows.at(-1)
      const left = cursor.left - rows.length
      const edge = last && BigInt(last[2]) + (backwards ? -1n : 1n)
      const more = edge !== undefined && rows.length === wanted && left > 0 && edge >= bottom && edge <= top
      return { found: rows, next: more ? { edge, left, rowsMax: nextPageRows(rows, cursor.rowsMax) } : undefined }
    })
    for await (const rows of pages) for (const row of rows) yield toEvent(row)
  }

  async function* readAll(range: AllRange = {}): AsyncGenerator<StoredEvent> {
    const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = range
    const after = range.after === undefined ? undefined : positions.numberOf(range.after)
    const sql = filterSql(range, 4)
    const end = await head({ retry: true })
    const backwards = direction === 'backwards'
    const bottom = backwards ? 1n : (after ?? 0n) + 1n
    const top = backwards && after !== undefined ? least(after - 1n, end) : end
    if (limit <= 0 || top < bottom) return
    const text = allStatement(backwards ? 'desc' : 'asc', sql)
    const pages = walk({ low: bottom, high: top, left: limit, rowsMax: pageRowsFirst }, async (cursor) => {
      const wanted = Math.min(cursor.rowsMax, cursor.left)
      const far = sql.filtered ? windowPositions - 1n : revisionMax
      const low = backwards ? most(cursor.low, cursor.high - far) : cursor.low
      const high = backwards ? cursor.high : least(cursor.high, cursor.low + far)
      const rows = await query<Row>('eventStore.readAll', text, [low, high, wanted, ...sql.values], asked)
      const last = rows.length === wanted ? rows.at(-1) : undefined
      const rest = backwards
        ? { low: cursor.low, high: (last ? BigInt(last[0]) : low) - 1n }
        : { low: (last ? BigInt(last[0]) : high) + 1n, high: cursor.high }
      const left = cursor.left - rows.length
      const more = left > 0 && rest.low <= rest.high
      return { found: rows, next: more ? { ...rest, left, rowsMax: nextPageRows(rows, cursor.rowsMax) } : undefined }
    })
    for await (const rows of pages) for (const row of rows) yield toEvent(row)
  }

  return { head, pageAfter, readStream, readAll }
}
