import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readMoment } from './moments.ts'

const pad = (value: number, digits = 2) => String(value).padStart(digits, '0')

test('a moment is read as what it says, or not at all: a day that no month has is none', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9999 }),
      fc.integer({ min: 0, max: 13 }),
      fc.integer({ min: 0, max: 32 }),
      fc.integer({ min: 0, max: 24 }),
      (year, month, day, hour) => {
        const exists = new Date(Date.UTC(2000, month, 0)).getUTCDate() >= 28 && month >= 1 && month <= 12
        const days = new Date(Date.UTC(year < 100 ? year + 400 : year, month, 0)).getUTCDate()
        const isReal = exists && day >= 1 && day <= days && hour < 24
        const text = `${pad(year, 4)}-${pad(month)}-${pad(day)}T${pad(hour)}:30:00`
        if (hour < 24) expect(readMoment(`${text}Z`)).toBe(isReal ? `${text}.000Z` : undefined)
      },
    ),
  ))

test.each([
  ['2026-01-31T12:00Z', '2026-01-31T12:00:00.000Z'],
  ['2026-01-31T12:00:00.123456789Z', '2026-01-31T12:00:00.123Z'],
  ['2026-01-31T23:30:00-01:00', '2026-02-01T00:30:00.000Z'],
])('%s is %s', (text, expected) => expect(readMoment(text)).toBe(expected))

test.each([
  '2026-02-30T00:00:00Z',
  '2025-02-29T00:00:00Z',
  '2026-04-31T12:00:00+02:00',
  '2026-01-31',
  '29.11.2026',
  '',
])('%s is no moment', (text) => expect(readMoment(text)).toBeUndefined())
