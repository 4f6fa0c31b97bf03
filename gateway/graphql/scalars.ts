import { Failure } from '../../domain/errors.ts'
import { shortened } from '../shortened.ts'
import { builder } from './builder.ts'

const momentCharactersMax = 40
const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
const positionCharactersMax = 200

const invalid = (value: unknown, takes: string): Failure =>
  new Failure('INPUT_INVALID', { value: shortened(String(value)), takes })

builder.scalarType('DateTime', {
  description: 'A moment in ISO 8601, in UTC: 2026-01-31T12:00:00.000Z',
  serialize: (value) => value,
  parseValue: (value) => {
    const isMoment =
      typeof value === 'string' &&
      value.length <= momentCharactersMax &&
      moment.test(value) &&
      !Number.isNaN(Date.parse(value))
    if (!isMoment) throw invalid(value, 'a moment with time and zone in ISO 8601, such as 2026-01-31T12:00:00Z')
    const time = new Date(value).toISOString()
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
