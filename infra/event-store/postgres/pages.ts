import type { Retry } from '../../postgres.ts'
import type { Filter } from '../port.ts'
import type { Positions } from '../position.ts'
import { isName, isNamePrefix, revisionMax } from '../validation.ts'
import { type Bind, columnsOf, type EventRows, type Read } from './rows.ts'

/** How far a filtered statement looks, to begin with and at least: then so far that it finds a page. In positions. */
const windowsDefault = { first: 50_000n, min: 5_000n }
/** By how much a window may be wider than the one before. */
const widerMax = 8n
/** What takes longer was too wide, whatever it found. */
const windowMsMax = 250
/** With fewer among those looked at, it is quicker to jump from one to the next by an index than to look at all. */
const sparseBelow = 0.2
/** From so many rows on it is worth it to copy them. */
const copiedFromDefault = 100

type Direction = 'asc' | 'desc'

/** `through` is how far was looked, in reading direction: all events up to there are in the page, or did not pass. `isFull`:
 *  there are as many as were asked for. */
export type Page = Read & { readonly through: bigint; readonly isFull: boolean }

export type Pages = {
  /** Up to `rowsMax` events of those from `low` to `high`, both included, from the end where reading begins. Looks at one
   *  position at least. Not to be asked again before it has answered. */
  next(low: bigint, high: bigint, rowsMax: number, options?: Retry): Promise<Page>
}

/** The least text above all that begin with the prefix, in the order of their bytes; undefined when there is none. */
export const afterPrefix = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

type Range = { readonly low: bigint; readonly high: bigint; readonly rowsMax: number }
type Look = { readonly isSparse: boolean; readonly order: Direction }

/** A prefix is a range of bytes and not LIKE, which has wildcards.
 *
 *  No snapshot horizon (xmin): writers hold one lock until their commit is visible, so whoever sees position n sees all below
 *  it; a horizon would stop the tail behind an idle transaction in any database (contract case).
 *
 *  A dense one walks the primary key and leaves out what does not pass. A sparse one goes by what passes. Of types, each by the
 *  index (type, position): compared as a row and ordered by both, so that no statistics can talk the planner into the primary
 *  key, where it would look at all there is. Of a prefix alone, by the planner's choice for the whole window at once (offset 0):
 *  with the limit in sight it would hope to find enough early. */
const statementOf = (
  { types, streamPrefix }: Filter,
  { low, high, rowsMax }: Range,
  { isSparse, order }: Look,
  bind: Bind,
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
  const all = `select ${columnsOf('e')} from log.events e where ${range}${prefix}`
  if (types === undefined)
    return isSparse
      ? `select ${columnsOf('e')} from (select * from log.events e where ${range}${prefix} offset 0) e ${inOrder}`
      : `${all} ${inOrder}`
  const wanted = `${bind([...new Set(types.filter(isName))])}::text[]`
  return isSparse
    ? `select ${columnsOf('e')} from unnest(${wanted}) t(type) cross join lateral (
        select * from log.events e
        where (e.type, e.position) >= (t.type, ${from}) and (e.type, e.position) <= (t.type, ${to})${prefix}
        order by e.type ${order}, e.position ${order} limit ${rows}
      ) e ${inOrder}`
    : `${all} and e.type = any(${wanted}) ${inOrder}`
}

const least = (a: bigint, b: bigint) => (a < b ? a : b)
const most = (a: bigint, b: bigint) => (a > b ? a : b)

/** Reads the log page by page, in one direction. Of what does not pass the filter it reads as little as it can: it learns from
 *  each page how rare the others are. */
export const createPages = ({
  rows,
  positions,
  filter,
  direction = 'asc',
  windows = windowsDefault,
  copiedFrom = copiedFromDefault,
}: {
  readonly rows: EventRows
  readonly positions: Positions
  readonly filter: Filter
  readonly direction?: Direction
  readonly windows?: typeof windowsDefault
  readonly copiedFrom?: number
}): Pages => {
  const isFiltered = filter.types !== undefined || Boolean(filter.streamPrefix)
  let window = isFiltered ? windows.first : revisionMax
  let isSparse = false

  const learn = (found: number, looked: bigint, rowsMax: number, tookMs: number) => {
    isSparse = found < Number(looked) * sparseBelow
    const enough = found === 0 ? looked * widerMax : (looked * BigInt(rowsMax)) / BigInt(found) + 1n
    const wider = most(windows.min, least(enough, looked * widerMax))
    window = tookMs > windowMsMax ? most(windows.min, least(wider, looked / 2n)) : wider
  }

  return {
    next: async (low, high, rowsMax, options) => {
      const from = direction === 'asc' ? low : most(low, high - window + 1n)
      const to = direction === 'asc' ? least(high, low + window - 1n) : high
      // The end of the log is read by the primary key: it says nothing about the rest, and plans the quickest.
      const isLong = isFiltered && to - from >= windows.min
      const look = { isSparse: isLong && isSparse, order: direction }
      const selection = {
        label: 'eventStore.readAll',
        text: (bind: Bind) => statementOf(filter, { low: from, high: to, rowsMax }, look, bind),
        rowsMax,
        retry: options?.retry,
      }
      const isCopied = look.isSparse || (rowsMax >= copiedFrom && to - from >= copiedFrom)
      // Without a filter there is one good plan, the primary key; with one it depends on what is asked for.
      const name = isFiltered ? undefined : `event_store_read_all_${direction}`
      const begun = performance.now()
      const { events, characters } = await (isCopied ? rows.copy(selection) : rows.read(selection, name))
      const last = events.length === rowsMax ? events.at(-1) : undefined
      const through = last ? positions.numberOf(last.position) : direction === 'asc' ? to : from
      const looked = direction === 'asc' ? through - from + 1n : to - through + 1n
      if (isLong) learn(events.length, looked, rowsMax, performance.now() - begun)
      return { events, characters, through, isFull: last !== undefined }
    },
  }
}
