import { GraphQLError } from 'graphql'
import { builder } from './builder.ts'

const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/
const positionCharactersMax = 200

builder.scalarType('DateTime', {
  description: 'A moment in ISO 8601, in UTC: 2026-01-31T12:00:00.000Z',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value !== 'string' || !moment.test(value) || Number.isNaN(Date.parse(value)))
      throw new GraphQLError('takes a moment in ISO 8601', { extensions: { code: 'INPUT_INVALID' } })
    const time = new Date(value).toISOString()
    // PostgreSQL stores neither the year 0 nor years that need a sign.
    if (!/^(?!0000)\d{4}-/.test(time))
      throw new GraphQLError('takes a year from 1 to 9999', { extensions: { code: 'INPUT_INVALID' } })
    return time
  },
})

builder.scalarType('JSON', { description: 'Any JSON value.', serialize: (value) => value })

builder.scalarType('Position', {
  description:
    'A position in the log. It is opaque: positions of one platform can be compared as text, and nothing else.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value !== 'string' || value.length > positionCharactersMax)
      throw new GraphQLError('takes a position that this platform gave', { extensions: { code: 'INPUT_INVALID' } })
    return value
  },
})
