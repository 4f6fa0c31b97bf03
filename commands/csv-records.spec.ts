import { expect, test } from '@jest/globals'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { csvRecords, linesOf } from './csv-records.ts'

const problem = 'its quotes do not match'
/** Returns the records, each without the number of its lines. */
const readCsvRecords = (text: string) => [...csvRecords(linesOf(text))].map(({ lines, ...record }) => record)

test('a record has the number of its first line', () => {
  expect(readCsvRecords('a,b\n\n1,2\n  \n3,4\n')).toEqual([
    { line: 1, fields: ['a', 'b'] },
    { line: 3, fields: ['1', '2'] },
    { line: 5, fields: ['3', '4'] },
  ])
})

test.each(['\n', '\r\n', '\r'])('lines may end with %j', (end) => {
  expect(readCsvRecords(`a,b${end}1,"x${end}y"${end}3,4`)).toEqual([
    { line: 1, fields: ['a', 'b'] },
    { line: 2, fields: ['1', 'x\ny'] },
    { line: 4, fields: ['3', '4'] },
  ])
})

test('a record says how many lines it takes', () => {
  const lines = [...csvRecords(linesOf('a,b\n1,"x\ny\n"\n\n2,"\n3,z'))].map(({ line, lines }) => [line, lines])
  expect(lines).toEqual([
    [1, 1],
    [2, 3],
    [6, 1],
    [7, 1],
  ])
})

test('a byte order mark is no part of the first field', () => {
  expect(readCsvRecords('\uFEFFa,b')).toEqual([{ line: 1, fields: ['a', 'b'] }])
})

test('quotes: doubled within quotes, and as they are where a field does not begin with one', () => {
  expect(readCsvRecords('"a ""b"" c","d,e"\n5" disk,"a" "b"\n')).toEqual([
    { line: 1, fields: ['a "b" c', 'd,e'] },
    { line: 2, problem },
  ])
  expect(readCsvRecords('5" disk,x')).toEqual([{ line: 1, fields: ['5" disk', 'x'] }])
})

test('a quote that is never closed costs its own line alone', () => {
  expect(readCsvRecords('a,b\n1,"x\n2,y\n3,"z"\n')).toEqual([
    { line: 1, fields: ['a', 'b'] },
    { line: 2, problem },
    { line: 3, fields: ['2', 'y'] },
    { line: 4, fields: ['3', 'z'] },
  ])
})

test('two of them do not swallow the text between', () => {
  expect(readCsvRecords('a,b\n1,"x\n2,y\n3,"z\n4,w')).toEqual([
    { line: 1, fields: ['a', 'b'] },
    { line: 2, problem },
    { line: 3, fields: ['2', 'y'] },
    { line: 4, problem },
    { line: 5, fields: ['4', 'w'] },
  ])
})

test('nor do two that close into a record with another number of columns', () => {
  expect(readCsvRecords('a,b\n1,"x\n2,y\n3,z",4')).toEqual([
    { line: 1, fields: ['a', 'b'] },
    { line: 2, problem },
    { line: 3, fields: ['2', 'y'] },
    { line: 4, fields: ['3', 'z"', '4'] },
  ])
})

test('a quoted field reaches over at most 20 lines', () => {
  const over = (lines: number) => `a,b\n1,"x${'\n'.repeat(lines - 1)}y"\n2,3`
  expect(readCsvRecords(over(20))).toHaveLength(3)
  expect(readCsvRecords(over(21))[1]).toEqual({ line: 2, problem })
})

const troubled = fc
  .array(fc.constantFrom('"', '""', ',', '\n', '\r', '\r\n', ' ', 'x', "'", '\0', '\uFEFF', '\ud800'), {
    maxLength: 60,
  })
  .map((parts) => parts.join(''))

test('whatever the text: never throws, and no line comes twice', () => {
  fc.assert(
    fc.property(fc.oneof(troubled, fc.string({ unit: 'binary' })), (text) => {
      const lines = readCsvRecords(text).map(({ line }) => line)
      expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b))
      for (const line of lines) expect(text.split(/\r\n|\n|\r/)[line - 1]).toBeDefined()
    }),
    { numRuns: 500 },
  )
})

test('what was written comes back as it was', () => {
  const field = fc.string({ unit: fc.constantFrom('"', ',', '\n', ' ', 'x', 'y'), maxLength: 8 })
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
  fc.assert(
    fc.property(fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 5 }), (rows) => {
      const text = rows.map((row) => row.map(quoted).join(',')).join('\n')
      expect(readCsvRecords(text).map((record) => 'fields' in record && record.fields)).toEqual(rows)
    }),
  )
})

test('a record is read as the parser of the library reads it, however its fields are written', () => {
  const text = fc.string({ unit: fc.constantFrom(...'ab,"" \t\u00a0é'), maxLength: 6 })
  const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`
  const written = fc
    .tuple(text, fc.constantFrom('bare', 'quoted', 'spaced', 'broken'))
    .map(([field, how]) =>
      how === 'quoted'
        ? quoted(field)
        : how === 'spaced'
          ? ` ${quoted(field)} `
          : how === 'broken'
            ? `"${field}`
            : field,
    )
  const options = { relaxColumnCount: true, relaxQuotes: true, recordDelimiter: '\n', trim: true }
  const asLibrary = (record: string) => {
    try {
      const records = parse(record, options)
      return records.length === 1 ? records[0] : undefined
    } catch {
      return undefined
    }
  }
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 5 }), (fields) => {
      const record = fields.join(',')
      fc.pre(record.includes('"') && record.trim() !== '')
      const [read] = [...csvRecords([record])]
      expect(read && 'fields' in read ? read.fields : undefined).toEqual(asLibrary(record))
    }),
    { numRuns: 500 },
  )
})
