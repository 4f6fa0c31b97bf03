import { describe, expect, test } from '@jest/globals'
import type { Filter } from '../port.ts'
import { passes, serverFilter } from './filter.ts'

const names = [
  'a',
  'a-1',
  'a.1',
  'ab',
  'e',
  'e\u0301',
  'A',
  '$a',
  'a$',
  'a\n',
  '(a)',
  '[a]',
  '#a b',
  '東京',
  '\u{1f600}',
]

describe('the filter of the server', () => {
  test.each<[string, Filter]>([
    ['nothing asked', {}],
    ['an empty prefix', { streamPrefix: '' }],
    ['a prefix', { streamPrefix: 'a' }],
    ['a prefix that is no expression', { streamPrefix: 'a.' }],
    ['a prefix of brackets', { streamPrefix: '(a' }],
    ['a letter that an accent may follow', { streamPrefix: 'e' }],
    ['a prefix outside the basic plane', { streamPrefix: '\u{1f600}' }],
    ['half a character', { streamPrefix: '\ud83d' }],
    ['a type', { types: ['a'] }],
    ['types that are no expressions', { types: ['a.1', '[a]', 'a$', '#a b'] }],
    ['no type', { types: [] }],
    ['a type that cannot be', { types: ['\0'] }],
    ['types and a prefix', { types: ['a', 'e\u0301'], streamPrefix: 'a' }],
  ])('%s: lets through whatever passes here', (_, asked) => {
    const { on, regex } = serverFilter(asked)
    for (const stream of names)
      for (const type of names.filter((name) => !name.startsWith('$')))
        if (passes(asked, { stream, type })) expect(new RegExp(regex).test(on === 'type' ? type : stream)).toBe(true)
  })

  test('leaves out what it can: other types, other streams, and what the server has of its own', () => {
    const lets = (asked: Filter, name: string) => new RegExp(serverFilter(asked).regex).test(name)
    expect(names.filter((name) => lets({ types: ['a', 'a.1'] }, name))).toEqual(['a', 'a.1'])
    expect(names.filter((name) => lets({ streamPrefix: 'a.' }, name))).toEqual(['a.1'])
    expect(names.filter((name) => !lets({}, name))).toEqual(['$a'])
    for (const asked of [{ types: [] }, { types: ['\0'] }, { streamPrefix: '\ud83d' }])
      expect(names.filter((name) => lets(asked, name))).toEqual([])
  })
})
