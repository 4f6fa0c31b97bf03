import type { Retry } from '../../postgres.ts'
import { maxOf, minOf } from '../bigint.ts'
import type { Filter } from '../port.ts'
import type { Positions } from '../position.ts'
import { isName, isNamePrefix, revisionMax } from '../validation.ts'
import type { BindValue, EventRows, EventsRead } from './rows.ts'

/** The window of positions that a filtered statement scans: the first one and the smallest. Later ones adapt, so
 *  that a window holds about one page. */
const windowsDefault = { first: 50_000n, min: 5_000n }
/** The largest factor by which a window may be wider than the previous one. */
const windowGrowthMax = 8n
/** A statement that takes longer had too wide a window, whatever it found. */
const windowMsMax = 250
/** When a smaller share of the scanned events passes, an index scan from match to match is faster than scanning all. */
const sparseRatio = 0.2
/** From so many rows on, COPY is faster. */
const copyRowsMinDefault = 100

type Direction = 'asc' | 'desc'

/** `through` is the last position scanned, in reading direction: all events up to it are in the page, or did not
 *  pass the filter. */
export type Page = EventsRead & { readonly through: bigint }

export type Pages = {
  /** Reads up to `rowsMax` events, or as many as a page has bytes, between `low` and `high`, both included, starting at the end where reading begins.
   *  Scans at least one position. Call it again only after it has resolved. */
  next(low: bigint, high: bigint, rowsMax: number, options?: Retry): Promise<Page>
}

/** Returns the smallest text above all texts that begin with the prefix, in byte order; undefined when there is
 *  none. */
export const afterPrefix = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

type Range = { readonly low: bigint; readonly high: bigint; readonly rowsMax: number }
type Scan = { readonly isSparse: boolean; readonly order: Direction }

/** Returns the statement that reads one page of a filtered log. A prefix is a range of bytes and not LIKE, which has
 *  wildcards.
 *
 *  There is no snapshot horizon (xmin): writers hold one lock until their commit is visible, so a reader that sees
 *  position n sees all below it. A horizon would stop the tail behind an idle transaction in any database (test case
 *  "an idle transaction in another database does not stop the tail").
 *
 *  A dense scan follows the primary key and skips events that do not pass. A sparse scan follows the events that
 *  pass. For types it reads each by the index (type, position): the range is compared as a row and ordered by both
 *  columns, so that no statistics make the planner choose the primary key and scan all events. For a prefix alone it
 *  lets the planner choose for the whole window at once (offset 0): with the limit in view, the planner would expect
 *  to find enough rows early. */
const statementOf = (
  { types, streamPrefix }: Filter,
  { low, high, rowsMax }: Range,
  { isSparse, order }: Scan,
  bind: BindValue,
): string => {
  const [from, to, rows] = [`${bind(low)}::bigint`, `${bind(high)}::bigint`, bind(rowsMax)]
  let prefix = ''
  if (streamPrefix && !isNamePrefix(streamPrefix)) prefix = ' and false'
  else if (streamPrefix) {
    const end = afterPrefix(streamPrefix)
    prefix = ` and e.stream_id >= ${bind(streamPrefix)}`
    if (end !== undefined) prefix += ` and e.stream_id < ${bind(end)}`
  }
  const range = `e.position >= ${from} and e.position <= ${to}`
  const inOrder = `order by e.position ${order} limit ${rows}`
  const all = `select * from log.events e where ${range}${prefix}`
  if (types === undefined)
    return isSparse
      ? `select * from (select * from log.events e where ${range}${prefix} offset 0) e ${inOrder}`
      : `${all} ${inOrder}`
  const wanted = `${bind([...new Set(types.filter(isName))])}::text[]`
  return isSparse
    ? `select e.* from unnest(${wanted}) t(type) cross join lateral (
        select * from log.events e
        where (e.type, e.position) >= (t.type, ${from}) and (e.type, e.position) <= (t.type, ${to})${prefix}
        order by e.type ${order}, e.position ${order} limit ${rows}
      ) e ${inOrder}`
    : `${all} and e.type = any(${wanted}) ${inOrder}`
}

/** Creates a reader of the log, page by page in one direction. It reads as few as possible of the events that do not
 *  pass the filter: each page shows how rare matches are, and the next window and scan adapt to that. */
export const createPages = ({
  rows,
  positions,
  filter,
  direction = 'asc',
  windows = windowsDefault,
  copyRowsMin = copyRowsMinDefault,
}: {
  readonly rows: EventRows
  readonly positions: Positions
  readonly filter: Filter
  readonly direction?: Direction
  readonly windows?: typeof windowsDefault
  readonly copyRowsMin?: number
}): Pages => {
  const isFiltered = filter.types !== undefined || Boolean(filter.streamPrefix)
  let window = isFiltered ? windows.first : revisionMax
  let isSparse = false

  const adaptWindow = (found: number, scanned: bigint, rowsMax: number, tookMs: number) => {
    isSparse = found < Number(scanned) * sparseRatio
    const fullPage = found === 0 ? scanned * windowGrowthMax : (scanned * BigInt(rowsMax)) / BigInt(found) + 1n
    const widened = maxOf(windows.min, minOf(fullPage, scanned * windowGrowthMax))
    window = tookMs > windowMsMax ? maxOf(windows.min, minOf(widened, scanned / 2n)) : widened
  }

  return {
    next: async (low, high, rowsMax, options) => {
      const from = direction === 'asc' ? low : maxOf(low, high - window + 1n)
      const to = direction === 'asc' ? minOf(high, low + window - 1n) : high
      // A short range at the end of the log is read by the primary key: it shows nothing about the rest, and is planned
      // fastest.
      const isLong = isFiltered && to - from >= windows.min
      const scan = { isSparse: isLong && isSparse, order: direction }
      const eventQuery = {
        label: 'eventStore.readAll',
        select: (bind: BindValue) => statementOf(filter, { low: from, high: to, rowsMax }, scan, bind),
        orderBy: `position ${direction}`,
        rowsMax,
        retry: options?.retry,
      } as const
      const isCopied = scan.isSparse || (rowsMax >= copyRowsMin && to - from >= copyRowsMin)
      // Without a filter there is one good plan, the primary key; with a filter the plan depends on its values.
      const name = isFiltered ? undefined : `event_store_read_all_${direction}`
      const startedAt = performance.now()
      const reading = isCopied ? rows.copy(eventQuery) : rows.read(eventQuery, name)
      const { events, bytes, isFull } = await reading.catch((error: unknown) => {
        // The statement may have taken too long: the next one scans less.
        if (isFiltered) window = maxOf(windows.min, window / 2n)
        throw error
      })
      const last = isFull ? events.at(-1) : undefined
      const through = last ? positions.numberOf(last.position) : direction === 'asc' ? to : from
      const scanned = direction === 'asc' ? through - from + 1n : to - through + 1n
      if (isLong) adaptWindow(events.length, scanned, rowsMax, performance.now() - startedAt)
      return { events, bytes, through, isFull }
    },
  }
}
