import { expect, test } from '@jest/globals'
import { z } from 'zod'
import { eventDecoderOf } from './decoder.ts'

const usual = z.object({ text: z.string() })
// No compiled decoder judges a refinement: the schema does.
const refined = z.object({ text: z.string().refine((text) => text !== 'b') })

test.each([usual, refined])('an event is its type and its decoded fields', (schema) =>
  expect(eventDecoderOf('Said', schema)({ text: 'a', unknown: 1 })).toStrictEqual({ type: 'Said', text: 'a' }),
)

test.each([
  [usual, { text: 1 }],
  [usual, null],
  [refined, { text: 'b' }],
])('what the schema does not take is a ZodError', (schema, fields) =>
  expect(() => eventDecoderOf('Said', schema)(fields)).toThrow(z.ZodError),
)
