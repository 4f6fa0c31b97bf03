import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { patternComplaints, patternProblem } from './patterns.ts'
import { parseSources, readFiles } from './source-tree.ts'

test('no pattern of the product takes more than linear time', () =>
  expect(patternComplaints(parseSources(readFiles(join(import.meta.dirname, '../..'))))).toEqual([]))

describe('a pattern', () => {
  test.each([
    /^(\d{1,30})(?:\.(\d+))?$/,
    /^[,\s]+/,
    /\p{Cc}+/gu,
    /^progress\s+(\d+(?:\.\d+)?)%?/,
    /^(a|b)[|*+]\|?$/,
    /^-?\d+$/,
  ])('%s takes linear time', (pattern) => expect(patternProblem(pattern)).toBeUndefined())
  test.each([
    [/(a+)+b/, 'a quantifier can match the same text in several ways'],
    [/^(?:a|a)*$/, 'it repeats alternatives'],
    [/^(?:[|)]|\(b){2,}$/, 'it repeats alternatives'],
    [/^\s*(\d+(\.\d+)?)%?\s*(.*)$/, 'two quantifiers can match the same text'],
    [/0+$/, 'it begins again at each character that its quantifier matches'],
    [/\s+at x/, 'it begins again at each character that its quantifier matches'],
  ])('%s does not', (pattern, problem) => expect(patternProblem(pattern)).toBe(problem))
})

test('a house with such patterns is complained about, in product code alone', () => {
  const text = 'const a = [/0+$/, new RegExp("(a+)+b"), RegExp(name), /^a/]'
  const complaints = patternComplaints(
    parseSources(
      new Map([
        ['a.ts', text],
        ['a.spec.ts', text],
      ]),
    ),
  )
  expect(complaints).toEqual([
    'a.ts: /0+$/: it begins again at each character that its quantifier matches',
    'a.ts: new RegExp("(a+)+b"): a quantifier can match the same text in several ways',
    'a.ts: RegExp(name): it is put together at run time',
  ])
})
