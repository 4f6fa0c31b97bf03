import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { docstringComplaints, phraseComplaints } from './comments.ts'
import { parseSources, readFiles } from './source-tree.ts'

describe('the house', () => {
  const files = readFiles(join(import.meta.dirname, '../..'))
  test('docstrings of functions begin with a verb, and exported functions have one', () =>
    expect(docstringComplaints(parseSources(files))).toEqual([]))
  test('comments and pages are in plain words', () => expect(phraseComplaints(files)).toEqual([]))
})

describe('a house in disorder is complained about', () => {
  const complaints = (texts: Readonly<Record<string, string>>) =>
    docstringComplaints(parseSources(new Map(Object.entries(texts))))

  test.each([
    'const it = () => 1',
    'export const it = (async () => 1) as Work',
    'export function it() {}',
    'export type Port = {\n  /** The same. */\n  it(): void\n}',
    'const port = {\n  /** The same. */\n  it: () => 1,\n}',
  ])('a docstring without a verb: %s', (code) =>
    expect(complaints({ 'gateway/a.spec.ts': code.includes('/**') ? code : `/** The same. */\n${code}` })).toEqual([
      'gateway/a.spec.ts: the docstring of it does not begin with a verb in the third person',
    ]),
  )

  test('an exported function without a docstring', () =>
    expect(
      complaints({
        'gateway/a.ts': '// why\nexport const bare = () => 1',
        'gateway/b.spec.ts': 'export const test = () => 1',
        'bench/a.ts': 'export const bench = () => 1',
      }),
    ).toEqual(['gateway/a.ts: bare has no docstring']))

  test('but not what is no function, what is not exported, and what begins with a verb', () =>
    expect(
      complaints({
        'gateway/a.ts':
          '/** The limit. */\nexport const limit = 1\nconst own = () => 1\n/** Returns it. */\nexport const it = () => 1',
      }),
    ).toEqual([]))

  test.each([
    ['gateway/a.ts', '// waits for somebo_dy'],
    ['gateway/a.ts', '/** A value that nobo_dy reads. */'],
    ['gateway/a.ts', ' *  For who on_ly reads.'],
    ['gateway/a.ts', 'const a = 1 // kept for ev_er'],
    ['docs/a.md', 'The scheduler is to_ld the result.'],
    ['docs/a.md', 'The saga is wal_ked.'],
  ])('%s: %s', (path, line) =>
    expect(phraseComplaints(new Map([[path, line.replace('_', '')]]))).toEqual([expect.stringMatching(`^${path}:1 "`)]),
  )

  test('but not about names that are data, or code', () =>
    expect(
      phraseComplaints(
        new Map([
          ['docs/a.md', 'The timer `walk` of the user `nobody`, and renters who have money.'],
          ['gateway/a.ts', "test('for ever')"],
        ]),
      ),
    ).toEqual([]))
})
