import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isStorable } from '../domain/text.ts'
import { cursorOf, isInteger, isMoment, pageOf, pageRowsMax, readCursor, rowsToRead } from './page.ts'

const refusal = expect.objectContaining({ code: 'INPUT_INVALID' })

describe('a cursor', () => {
  test('gives back its sort key', () =>
    fc.assert(
      fc.property(fc.bigInt(), fc.string({ unit: 'grapheme' }).filter(isStorable), (price, id) => {
        expect(readCursor(cursorOf([String(price), id]), [() => true, isStorable])).toEqual([String(price), id])
      }),
    ))

  test.each([
    ['not base64', '%%%', [isStorable]],
    ['not a list', Buffer.from('{}').toString('base64url'), [isStorable]],
    ['of another length', cursorOf(['a', 'b']), [isStorable]],
    ['no number', cursorOf(['12x']), [isInteger]],
    ['no moment', cursorOf(['yesterday']), [isMoment]],
    ...['2026-02-30', '2026-13-01', '2026-00-10', '0000-01-01'].map(
      (day) => ['no day', cursorOf([`${day}T00:00:00.000Z`]), [isMoment]] as [string, string, [typeof isMoment]],
    ),
    ['no time', cursorOf(['2026-01-01T24:00:01.000Z']), [isMoment]],
    ['not storable', cursorOf(['a\0b']), [isStorable]],
  ])('is refused when it is %s', (_, after, parts) => expect(() => readCursor(after, parts)).toThrow(refusal))
})

describe('a page', () => {
  test.each([0, -1, 1.5, pageRowsMax + 1])('of %d rows is refused', (first) =>
    expect(() => rowsToRead({ first })).toThrow(refusal),
  )

  test('shows whether another page follows', () => {
    const page = (rows: string[]) => pageOf(rows, { first: 2 }, (row) => [row])
    expect(page([])).toEqual({ rows: [], hasNextPage: false, endCursor: undefined })
    expect(page(['a', 'b'])).toEqual({ rows: ['a', 'b'], hasNextPage: false, endCursor: cursorOf(['b']) })
    expect(page(['a', 'b', 'c'])).toEqual({ rows: ['a', 'b'], hasNextPage: true, endCursor: cursorOf(['b']) })
  })
})
