import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { describeError, type ErrorCode, errors, Failure, isRefusal, mustBe, refuse } from './errors.ts'

const codes = Object.keys(errors) as ErrorCode[]

describe('the registry', () => {
  test.each(codes)('%s is written like a code, and its texts are whole sentences', (code) => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
    const { message, hint } = errors[code]
    expect(message).toMatch(/^[A-Z].*\.$/)
    expect(hint).toMatch(/^[A-Z].*\.$/)
  })
  test('no two codes have the same message', () =>
    expect(new Set(codes.map((code) => errors[code].message)).size).toBe(codes.length))

  const quotedIn = (files: string[]): Set<string> =>
    new Set(files.flatMap((file) => readFileSync(new URL(file, import.meta.url), 'utf8').match(/'[A-Z_]+'/g) ?? []))
  const files = readdirSync(new URL('.', import.meta.url)).filter((name) => name.endsWith('.ts'))
  // lifecycle.spec.ts holds every line of the lifecycle tables.
  const isHeld = (name: string) => /\.(spec|lifecycle)\.ts$/.test(name)
  const sources = quotedIn(files.filter((name) => !isHeld(name)))
  const shown = quotedIn(files.filter((name) => isHeld(name) && name !== 'errors.spec.ts'))
  test.each(codes.filter((code) => sources.has(`'${code}'`)))(
    '%s, which the domain answers with, is held by a spec',
    (code) => expect(shown).toContain(`'${code}'`),
  )
})

describe('a refusal', () => {
  test('is a value with its code and details', () => {
    expect(refuse('LISTING_FULL')).toStrictEqual({ refused: 'LISTING_FULL', details: {} })
    expect(refuse('HOLD_UNKNOWN', { rental: 'r' })).toStrictEqual({ refused: 'HOLD_UNKNOWN', details: { rental: 'r' } })
  })
  test('is distinguished from events and from everything else', () => {
    expect(isRefusal(refuse('LISTING_FULL'))).toBe(true)
    for (const other of [[], [{ type: 'PriceChanged' }], {}, null, undefined, 'refused'])
      expect(isRefusal(other)).toBe(false)
  })
})

describe('a failure', () => {
  test('has message, details and hint in one line', () => {
    expect(describeError('JOB_UNKNOWN')).toBe('There is no such job. Check the id.')
    expect(describeError('PORT_TAKEN', { port: '4000', host: 'localhost' })).toBe(
      'The port is taken by another program. (port: 4000, host: localhost) Stop that program or set PORT to another one.',
    )
  })
  test('carries its code, details and cause', () => {
    const cause = new Error('EADDRINUSE')
    const failure = new Failure('PORT_TAKEN', { port: '4000' }, cause)
    expect(failure).toBeInstanceOf(Error)
    expect(failure).toMatchObject({ name: 'Failure', code: 'PORT_TAKEN', details: { port: '4000' }, cause })
    expect(failure.message).toBe(describeError('PORT_TAKEN', { port: '4000' }))
  })
  test('has no cause unless one is given', () => {
    const failure = new Failure('INTERNAL')
    expect(failure.details).toStrictEqual({})
    expect('cause' in failure).toBe(false)
  })
})

describe('mustBe', () => {
  const state = { status: 'open' as 'open' | 'closed' | 'none', count: 1 }
  test('gives the state back when it is one of these', () => expect(mustBe(state, 'closed', 'open')).toBe(state))
  test('calls anything else corrupt, and names both', () =>
    expect(() => mustBe(state, 'closed', 'none')).toThrow(
      'History is corrupt: status is open, expected closed or none',
    ))
})
