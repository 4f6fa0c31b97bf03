import { Failure } from '../../domain/errors.ts'
import { readMoment } from '../../domain/moments.ts'
import { shortened } from '../shortened.ts'
import { builder } from './builder.ts'

const positionCharactersMax = 200

const invalid = (value: unknown, takes: string): Failure =>
  new Failure('INPUT_INVALID', { value: shortened(String(value)), takes })

builder.scalarType('DateTime', {
  description: 'A moment in ISO 8601, in UTC: 2026-01-31T12:00:00.000Z',
  serialize: (value) => value,
  parseValue: (value) => {
    const time = typeof value === 'string' ? readMoment(value) : undefined
    if (time === undefined)
      throw invalid(value, 'a moment with time and zone in ISO 8601, such as 2026-01-31T12:00:00Z')
    // PostgreSQL stores neither the year 0 nor years that need a sign.
    if (!/^(?!0000)\d{4}-/.test(time)) throw invalid(value, 'a year from 1 to 9999')
    return time
  },
})

builder.scalarType('SafeInt', {
  description: 'A whole number up to 2^53 - 1, which JSON holds exactly: Int ends at 2^31 - 1.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw invalid(value, 'a whole number up to 2^53 - 1')
    return value
  },
})

builder.scalarType('JSON', { description: 'Any JSON value.', serialize: (value) => value })

builder.scalarType('Position', {
  description:
    'A position in the log. It is opaque: positions of one platform can be compared as text, and nothing else.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value !== 'string' || value.length > positionCharactersMax)
      throw invalid(value, 'a position that this platform gave')
    return value
  },
})
