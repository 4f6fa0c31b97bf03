// Holds docs/glossary.md to the code: each term stands in the file that its row names, as an identifier or in a
// comment.
import { describe, expect, test } from '@jest/globals'
import { files, type Page, pages, proseOf } from './docs.testing.ts'

type Entry = { readonly term: string; readonly meaning: string; readonly place: string }

/** Returns the rows of the tables of a page, those of their heads left out. */
const entriesOf = (page: Page): Entry[] =>
  proseOf(page).flatMap((line) => {
    const [, term = '', meaning = '', place = ''] = /^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$/.exec(line) ?? []
    return term === '' ? [] : [{ term, meaning, place }]
  })

/** Returns the words of a text in lower case, between single spaces: `createTaskQueue` is " create task queue ". */
const wordsOf = (text: string): string =>
  ` ${text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .toLowerCase()} `

/** Returns whether a text uses a term, in the singular or the plural. */
const uses = (text: string, term: string): boolean =>
  [term, `${term}s`, term.replace(/y$/, 'ies')].some((form) => wordsOf(text).includes(wordsOf(form)))

const complaintsOf = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ term, place }) => {
    const text = files.get(place)
    if (text === undefined) return [`${term}: there is no ${place}`]
    return uses(text, term) ? [] : [`${term}: not used in ${place}`]
  })

const glossary = pages.find(({ path }) => path === 'docs/glossary.md') ?? { path: 'docs/glossary.md', text: '' }

describe('docs/glossary.md', () => {
  const entries = entriesOf(glossary)
  test('has a term, a meaning and a place in each row', () => {
    const rows = proseOf(glossary).filter((line) => line.startsWith('| ') && !line.startsWith('| term |'))
    expect(rows).toHaveLength(entries.length)
    expect(entries.length).toBeGreaterThan(80)
  })

  test('names places that use the term', () => expect(complaintsOf(entries)).toEqual([]))

  test('has each term once, in alphabetical order within its table', () => {
    const terms = entries.map(({ term }) => term)
    expect(new Set(terms).size).toBe(terms.length)
    const tables = glossary.text.split(/^## /m).slice(1)
    for (const table of tables) {
      const listed = entriesOf({ path: glossary.path, text: table }).map(({ term }) => term)
      expect(listed).toEqual(listed.toSorted((a, b) => a.localeCompare(b, 'en')))
    }
  })

  test.each([
    ['task queue', 'const taskQueues = []', true],
    ['capability', 'readonly capabilities: Capabilities', true],
    ['settlement', "refuse('RENTAL_SETTLEMENT_UNBALANCED')", true],
    ['lease', 'const released = 1', false],
  ])('%s in: %s', (term, text, used) => expect(uses(text, term)).toBe(used))

  test('a wrong place and an unused term are found', () =>
    expect(
      complaintsOf([
        { term: 'rental', meaning: '', place: 'domain/nothing.ts' },
        { term: 'heartbeat', meaning: '', place: 'domain/money.ts' },
      ]),
    ).toEqual(['rental: there is no domain/nothing.ts', 'heartbeat: not used in domain/money.ts']))
})
