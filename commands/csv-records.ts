import { CsvError, parse } from 'csv-parse/sync'

/** A record of a CSV text. `line` is where it begins, counted from 1; `lines` is how many it takes. A record that cannot
 *  be parsed has a `problem` instead of fields. */
export type CsvRecord = { readonly line: number; readonly lines: number } & (
  | { readonly fields: readonly string[] }
  | { readonly problem: string }
)

/** Over how many lines a quoted field may go. */
const recordLinesMax = 20

/** Returns the lines of a text, without a byte order mark. */
export const linesOf = (text: string): readonly string[] => text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)

/** Yields the records of these lines, without empty ones. Never throws. A quote may stay open, or be closed so far below
 *  that the record has another number of columns than the first: then only its own line is lost, and reading goes on
 *  with the next. */
export function* csvRecords(lines: readonly string[]): Generator<CsvRecord> {
  let columns: number | undefined
  for (let index = 0; index < lines.length; index++) {
    if (lines[index]?.trim() === '') continue
    const { fields, linesTaken } = recordAt(lines, index, columns)
    columns ??= fields?.length
    const read = fields ? { fields } : { problem: 'its quotes do not match' }
    yield { line: index + 1, lines: linesTaken, ...read }
    index += linesTaken - 1
  }
}

type Taken = { readonly fields?: readonly string[]; readonly linesTaken: number }

const recordAt = (lines: readonly string[], index: number, columns: number | undefined): Taken => {
  const line = lines[index] ?? ''
  const fields = fieldsOf(line)
  if (fields) return { fields, linesTaken: 1 }
  // A quote that this line opens can only be closed by the next line that has an odd number of them.
  const below = lines.slice(index + 1, index + recordLinesMax).findIndex(hasOddQuotes)
  if (!hasOddQuotes(line) || below === -1) return { linesTaken: 1 }
  const linesTaken = below + 2
  const joined = fieldsOf(lines.slice(index, index + linesTaken).join('\n'))
  return joined && joined.length === (columns ?? joined.length) ? { fields: joined, linesTaken } : { linesTaken: 1 }
}

const hasOddQuotes = (line: string): boolean => line.split('"').length % 2 === 0

/** Returns the fields; undefined when the text is not one whole record. */
const fieldsOf = (record: string): readonly string[] | undefined => {
  if (!record.includes('"')) return record.split(',').map((field) => field.trim())
  const plain = plainFieldsOf(record)
  if (plain) return plain
  try {
    const records = parse(record, { relaxColumnCount: true, relaxQuotes: true, recordDelimiter: '\n', trim: true })
    return records.length === 1 ? records[0] : undefined
  } catch (error) {
    if (error instanceof CsvError) return undefined
    throw error
  }
}

/** Returns the fields of a record in which each is bare, or quoted as a whole, without spaces around: most are, and a
 *  parser that is made for one record takes longer to make than to run. Undefined for any other. */
const plainFieldsOf = (record: string): readonly string[] | undefined => {
  const fields: string[] = []
  for (let at = 0; ; ) {
    const isQuoted = record[at] === '"'
    const end = isQuoted ? closingQuote(record, at) + 1 : commaOrEnd(record, at)
    if (end === 0 || (end < record.length && record[end] !== ',')) return undefined
    const text = isQuoted ? record.slice(at + 1, end - 1).replaceAll('""', '"') : record.slice(at, end)
    if (!isQuoted && (text.includes('"') || text.trim() !== text)) return undefined
    fields.push(text)
    if (end === record.length) return fields
    at = end + 1
  }
}

const commaOrEnd = (record: string, from: number): number => {
  const comma = record.indexOf(',', from)
  return comma === -1 ? record.length : comma
}

/** Returns where the quote that opens at `from` is closed; -1 when it is not. */
const closingQuote = (record: string, from: number): number => {
  let at = record.indexOf('"', from + 1)
  while (at !== -1 && record[at + 1] === '"') at = record.indexOf('"', at + 2)
  return at
}
