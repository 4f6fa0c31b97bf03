import { Failure } from '../domain/errors.ts'
import { shortened } from '../domain/limits.ts'
import { parseJson } from '../infra/system/json.ts'

/** The most rows of one page. */
export const pageRowsMax = 100

/** A request for a page. `after` is the `endCursor` of the page before. */
export type PageRequest = { readonly first: number; readonly after?: string | undefined }
/** One page of rows. */
export type Page<Row> = {
  readonly rows: readonly Row[]
  readonly hasNextPage: boolean
  readonly endCursor: string | undefined
}

/** Returns true for an integer of at most 97 digits in decimal text. */
export const isInteger = (text: string): boolean => /^-?\d{1,97}$/.test(text)
/** Returns true for ISO 8601 text in UTC with milliseconds, of a day that the calendar has and the database stores. */
export const isMoment = (text: string): boolean => {
  if (!/^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text)) return false
  const time = new Date(text)
  return !Number.isNaN(time.getTime()) && time.toISOString() === text
}

/** Returns the cursor of a row, which is its sort key: so a page starts where the last one ended, whatever was inserted
 *  meanwhile. */
export const cursorOf = (sortKey: readonly string[]): string =>
  Buffer.from(JSON.stringify(sortKey)).toString('base64url')

/** A cursor holds a position or a moment, and an id, far below this. */
export const cursorCharactersMax = 1_000

/** Returns the sort key in a cursor from a client; undefined without a cursor. Throws INPUT_INVALID, with the name of the
 *  argument. */
export const readCursor = (
  cursor: string | undefined,
  parts: readonly ((text: string) => boolean)[],
  name = 'after',
): readonly string[] | undefined => {
  if (cursor === undefined) return undefined
  const isShort = cursor.length <= cursorCharactersMax
  const sortKey = isShort ? parseJson(Buffer.from(cursor, 'base64url').toString()) : undefined
  const fits =
    Array.isArray(sortKey) &&
    sortKey.length === parts.length &&
    parts.every((isPart, index) => typeof sortKey[index] === 'string' && isPart(sortKey[index]))
  if (!fits) throw new Failure('INPUT_INVALID', { [name]: shortened(cursor), takes: 'a cursor of an earlier page' })
  return sortKey
}

/** Returns the number of rows to read: one more than the page has, which shows whether another page follows. Throws
 *  INPUT_INVALID, with the name of the argument. */
export const rowsToRead = ({ first }: PageRequest, name = 'first'): number => {
  if (!Number.isInteger(first) || first < 1 || first > pageRowsMax)
    throw new Failure('INPUT_INVALID', { [name]: String(first), takes: `1 to ${pageRowsMax}` })
  return first + 1
}

/** Returns the page of rows that were read with `rowsToRead`. */
export const pageOf = <Row>(
  read: readonly Row[],
  { first }: PageRequest,
  sortKeyOf: (row: Row) => readonly string[],
): Page<Row> => {
  const rows = read.slice(0, first)
  const last = rows.at(-1)
  return { rows, hasNextPage: read.length > first, endCursor: last && cursorOf(sortKeyOf(last)) }
}
