// Whatever text comes from outside and in whatever error, a line of the log has a bound.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Failure } from '../../domain/errors.ts'
import { createLog } from '../telemetry.ts'

const lineBytesMax = 32 * 1024
/** Level, time, part and what JSON writes between. */
const aroundBytesMax = 500

const linesOf = (format: 'json' | 'pretty', ...given: [object, string?]): string[] => {
  const lines: string[] = []
  createLog({ level: 'info', format }, { write: (line) => lines.push(line) })
    .child({ part: 'chain' })
    .warn(...given)
  return lines
}
const lineOf = (...given: [object, string?]): string => linesOf('json', ...given).join('')

const text = fc
  .tuple(
    fc.constantFrom('a', '"', '\n', '\0', '\u6f22', '\u{1f5a5}', '\ud800', ' '),
    fc.constantFrom(0, 3, 900, 60_000),
  )
  .map(([unit, count]) => unit.repeat(count))
const value = fc.letrec<{ value: unknown; error: Error }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.constantFrom(7, 7n, null, undefined, true, new Date(0), Buffer.alloc(100_000), () => 7, Symbol('s')),
    tie('error'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.tuple(tie('value'), fc.constantFrom(1, 20_000)).map(([item, count]) => Array(count).fill(item)),
    fc.dictionary(text, tie('value'), { maxKeys: 3 }),
    fc.constantFrom(1, 20_000).map((count) => Object.fromEntries(Array.from({ length: count }, (_, at) => [at, at]))),
  ),
  error: fc
    .record({
      message: text,
      stack: fc.option(text),
      cause: tie('value'),
      errors: fc.array(tie('value')),
      own: tie('value'),
    })
    .map(({ message, stack, cause, errors, own }) => {
      const error = errors.length > 1 ? new AggregateError(errors, message) : new Error(message, { cause })
      if (stack !== null) error.stack = stack
      return Object.assign(error, { own, code: 'ECONNREFUSED', [message.slice(0, 10_000)]: own })
    }),
}))

describe('a line of the log', () => {
  test('has a bound, whatever is logged, and is JSON', () => {
    fc.assert(
      fc.property(value.value, value.error, text, (logged, err, message) => {
        for (const line of [lineOf({ logged, err }, message), lineOf({ err }), lineOf(err)]) {
          expect(Buffer.byteLength(line)).toBeLessThan(lineBytesMax + aroundBytesMax)
          expect(JSON.parse(line)).toMatchObject({ level: 'warn', part: 'chain' })
        }
        expect(linesOf('pretty', { logged, err }, message).join('').length).toBeLessThan(8 * lineBytesMax)
      }),
      { numRuns: 30 },
    )
  })

  test('has one for the longest text in each place of an error, however deep its causes go', () => {
    const long = 'x'.repeat(9_000_000)
    let chained = new Error(long)
    for (let depth = 0; depth < 10_000; depth += 1) chained = new Error(`cause ${depth}`, { cause: chained })
    let nested: object = {}
    for (let depth = 0; depth < 10_000; depth += 1) nested = { nested }
    const circle = new Error('round')
    circle.cause = Object.assign(new Error('about'), { cause: circle, circle })
    const errors = [
      ...[new Error(long), chained, circle, new AggregateError(Array(10_000).fill(new Error(long)), 'all')],
      ...[
        Object.assign(new Error('no'), { nested }),
        Object.assign(new Error('no'), { [long]: long, body: [long, long] }),
      ],
      Object.assign(new Error('no'), { own: { [`${long}a`]: 1, [`${long}b`]: 2, ['__proto__']: 3 } }),
      new Failure('CHAIN_UNAVAILABLE', { why: long }, new Error(long)),
    ]
    for (const err of errors) expect(lineOf({ err }, 'no').length).toBeLessThan(lineBytesMax + aroundBytesMax)
  })

  test('shows what an error is: its own message, code, details, causes and calls', () => {
    const long = 'x'.repeat(1_000_000)
    const cause = Object.assign(new Error(long), { code: 'EPIPE' })
    const line = JSON.parse(lineOf({ err: new Failure('CHAIN_UNAVAILABLE', { host: 'a:1', why: long }, cause) }, 'no'))
    expect(line.msg).toBe('no')
    expect(line.err).toMatchObject({ type: 'Failure', code: 'CHAIN_UNAVAILABLE', details: { host: 'a:1' } })
    expect(line.err.message).toMatch(/^The chain does not answer/)
    expect(line.err.details.why).toContain('(1000000 characters)')
    expect(line.err.stack).toMatch(/shown\.spec\.ts[\s\S]*caused by: Error: x+… \(1000000 characters\)\n +at /)
  })
})
