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
    ['no filter', {}],
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
    ['a type that cannot exist', { types: ['\0'] }],
    ['types and a prefix', { types: ['a', 'e\u0301'], streamPrefix: 'a' }],
  ])('%s: returns every event that passes the filter of the port', (_, filter) => {
    const { on, regex } = serverFilter(filter)
    for (const stream of names)
      for (const type of names.filter((name) => !name.startsWith('$')))
        if (passes(filter, { stream, type })) expect(new RegExp(regex).test(on === 'type' ? type : stream)).toBe(true)
  })

  test('omits as many as it can: other types, other streams, and system events', () => {
    const matches = (filter: Filter, name: string) => new RegExp(serverFilter(filter).regex).test(name)
    expect(names.filter((name) => matches({ types: ['a', 'a.1'] }, name))).toEqual(['a', 'a.1'])
    expect(names.filter((name) => matches({ streamPrefix: 'a.' }, name))).toEqual(['a.1'])
    expect(names.filter((name) => !matches({}, name))).toEqual(['$a'])
    for (const filter of [{ types: [] }, { types: ['\0'] }, { streamPrefix: '\ud83d' }])
      expect(names.filter((name) => matches(filter, name))).toEqual([])
  })
})
