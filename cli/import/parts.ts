import { csvRecords, linesOf } from '../../commands/csv-records.ts'
import { columnsOf, machineKey, machineOf } from '../../commands/offers.ts'
import { Failure } from '../../domain/errors.ts'

/** A part of an offer file as `importOffers` takes it: its records with the header, where they stand in the file, and
 *  how many records before this part call their machine the same, for each. */
export type FilePart = {
  readonly csv: string
  readonly firstLine: number
  readonly equalsBefore: readonly number[]
  /** The share of the file that is done with this part, 0 to 1. */
  readonly done: number
}

/** A request takes a second or two, and its answer lists every line. */
const partRecordsMax = 100
/** Whatever the characters, their JSON is shorter than a request may be. */
const partCharactersMax = 150_000

/** Yields the parts of an offer file, in order. Throws INPUT_INVALID when the header lacks a column, or for a record that
 *  no request can hold. */
export function* partsOf(text: string): Generator<FilePart> {
  const lines = linesOf(text)
  const records = csvRecords(lines)
  const header = records.next().value ?? undefined
  const fieldsOf = columnsOf(header)
  if (typeof fieldsOf !== 'function') throw new Failure(fieldsOf.refused, fieldsOf.details)
  const headerLines = header?.lines ?? 1
  const textOf = (first: number, count: number) => lines.slice(first - 1, first - 1 + count).join('\n')
  const headerText = textOf(header?.line ?? 1, headerLines)
  const seen = new Map<string, number>()
  let part: { first: number; end: number; characters: number; keys: (string | undefined)[] } | undefined

  const close = (open: NonNullable<typeof part>, done = (open.end - 1) / lines.length): FilePart => {
    const equalsBefore = open.keys.map((key) => (key === undefined ? 0 : (seen.get(key) ?? 0)))
    for (const key of open.keys) if (key !== undefined) seen.set(key, (seen.get(key) ?? 0) + 1)
    return {
      csv: `${headerText}\n${textOf(open.first, open.end - open.first)}`,
      firstLine: open.first - (headerLines - 1),
      equalsBefore,
      done,
    }
  }

  for (const record of records) {
    const { line, lines: taken } = record
    const characters = textOf(line, taken).length + taken
    if (characters > partCharactersMax)
      throw new Failure('INPUT_INVALID', { line: String(line), takes: `at most ${partCharactersMax} characters` })
    if (part && (part.keys.length >= partRecordsMax || part.characters + characters > partCharactersMax)) {
      yield close(part)
      part = undefined
    }
    part ??= { first: line, end: line, characters: 0, keys: [] }
    const isWhole = 'fields' in record && header && 'fields' in header && record.fields.length === header.fields.length
    part.keys.push(isWhole ? machineKey(machineOf(fieldsOf(record.fields))) : undefined)
    part.characters += characters
    part.end = line + taken
  }
  if (part) yield close(part, 1)
}
