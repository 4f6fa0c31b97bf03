import { test } from '@jest/globals'
import fc from 'fast-check'
import { jsonTextBytes } from './answer-size.ts'

test('the bytes of a text are those that JSON writes', () => {
  const unit = fc.oneof(
    fc.integer({ min: 0, max: 0x80 }),
    fc.integer({ min: 0xd7ff, max: 0xe001 }),
    fc.integer({ min: 0, max: 0xffff }),
  )
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 60 }), (units) => {
      const text = String.fromCharCode(...units)
      return jsonTextBytes(text) === Buffer.byteLength(JSON.stringify(text))
    }),
    { numRuns: 5_000 },
  )
})
