import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Failure } from '../../domain/errors.ts'
import { errorClassOf, sqlStateClasses } from './database-errors.ts'

const errorWith = (code: string, message = 'x') => Object.assign(new Error(message), { code })

describe('the class of an error of the database', () => {
  test.each([
    ['40001', 'outage'],
    ['40P01', 'outage'],
    ['55P03', 'outage'],
    ['53100', 'outage'],
    ['53300', 'outage'],
    ['57P01', 'outage'],
    ['08006', 'outage'],
    ['57014', 'overload'],
    ['53200', 'overload'],
    ['22003', 'value'],
    ['22P05', 'value'],
    ['23505', 'value'],
    ['54000', 'value'],
    ['54001', 'value'],
    ['42P01', 'defect'],
    ['42703', 'defect'],
    ['42501', 'defect'],
    ['28P01', 'defect'],
    ['54023', 'defect'],
    ['XX002', 'defect'],
    ['3F000', 'defect'],
  ])('%s is: %s', (code, kind) => expect(errorClassOf(errorWith(code))).toBe(kind))

  test('of a whole code counts before that of its first two characters, for every code', () => {
    const character = fc.constantFrom(...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ')
    const code = fc
      .tuple(fc.constantFrom(...sqlStateClasses.keys()), fc.string({ unit: character, minLength: 5, maxLength: 5 }))
      .map(([known, rest]) => (known + rest).slice(0, 5))
    fc.assert(
      fc.property(code, (text) => {
        const known = sqlStateClasses.get(text) ?? sqlStateClasses.get(text.slice(0, 2)) ?? 'defect'
        expect(errorClassOf(errorWith(text))).toBe(known)
      }),
    )
  })

  test('is that of the failure, of the message, or a defect', () => {
    expect(errorClassOf(new Failure('DATABASE_UNAVAILABLE'))).toBe('outage')
    expect(errorClassOf(new Failure('DATABASE_FULL'))).toBe('outage')
    expect(errorClassOf(new Failure('POSITION_FOREIGN'))).toBe('defect')
    expect(errorClassOf(errorWith('XX000', 'invalid memory alloc request size 1073741824'))).toBe('overload')
    expect(errorClassOf(new RangeError('Invalid string length'))).toBe('overload')
    for (const other of [new TypeError('x is undefined'), errorWith('ENOENT'), undefined, 'text'])
      expect(errorClassOf(other)).toBe('defect')
  })
})
