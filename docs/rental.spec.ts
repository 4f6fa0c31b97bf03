// Holds the two lists of files in docs/rental.md: they are short, and each file is imported by an earlier one.
import { posix } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { parseSources, targetOf } from '../testing/tidy/source-tree.ts'
import { files, pages, sectionOf } from './docs.testing.ts'

const page = pages.find(({ path }) => path === 'docs/rental.md') ?? { path: 'docs/rental.md', text: '' }
const section = sectionOf(page, 'The files, in the order they are used')
const ending = 'From `endRental` to the invoice:'
const listed = (lines: readonly string[]) => lines.flatMap((line) => /^\d+\. `([^`]+)`/.exec(line)?.[1] ?? [])
const requested = listed(section.slice(0, section.indexOf(ending)))
const returned = listed(section.slice(section.indexOf(ending)))

const importsOf = new Map(
  parseSources(files).map(({ path, imports }) => [
    path,
    new Set(imports.flatMap(({ specifier }) => targetOf(path, specifier) ?? [])),
  ]),
)
const imports = (path: string, target: string) => importsOf.get(path)?.has(target) === true
const matches = (path: string, pattern: RegExp) =>
  [...(files.get(path) ?? '').matchAll(pattern)].map(([, found]) => found ?? '')

/** The four ways from one file to another that a reader can follow by name. */
const ways: Readonly<Record<string, (from: string, to: string) => boolean>> = {
  'it is imported': imports,
  'it is the aggregate that a command is sent to': (from, to) =>
    matches(from, /\bto: '(\w+)'/g).some((name) => to === `domain/${name}.ts`) && imports('domain/aggregates.ts', to),
  'it implements the port that is imported': (from, to) => {
    const port = `${posix.dirname(to)}/port.ts`
    return imports(from, port) && imports(to, port)
  },
  'it folds an event that is decided there': (from, to) => {
    const folded = matches(to, /^ {4}([A-Z]\w+): \(/gm)
    return (
      imports(to, from) &&
      matches(from, /return \[\{ \.\.\.command, type: '(\w+)'/g).some((type) => folded.includes(type))
    )
  },
}
const leads = (from: string, to: string) => Object.values(ways).some((way) => way(from, to))

/** Returns the files of a list that do not exist, or that no earlier file imports. */
const lost = (list: readonly string[], before: readonly string[] = []): string[] =>
  list.filter(
    (path, index) =>
      !files.has(path) ||
      (index + before.length > 0 && ![...before, ...list.slice(0, index)].some((from) => leads(from, path))),
  )

describe('the files of one rental', () => {
  test('from the mutation to its answer they are at most 8, and each leads to the next', () => {
    expect(requested[0]).toBe('gateway/graphql/rentals.ts')
    expect(requested.at(-1)).toBe('projections/rentals.ts')
    expect(requested.length).toBeLessThanOrEqual(8)
    expect(lost(requested)).toEqual([])
  })

  test('from the return to the invoice they are at most 4 more, and each leads to the next', () => {
    expect(returned.at(-1)).toBe('projections/invoices.ts')
    expect(returned.length).toBeLessThanOrEqual(4)
    expect(returned.filter((path) => requested.includes(path))).toEqual([])
    expect(lost(returned, requested)).toEqual([])
  })

  test.each([
    ['it is imported', 'gateway/graphql/rentals.ts', 'processes/rent-a-gpu.ts'],
    ['it is the aggregate that a command is sent to', 'processes/rent-a-gpu.ts', 'domain/listing.ts'],
    ['it implements the port that is imported', 'processes/end-rental.ts', 'infra/heartbeats/postgres.ts'],
    ['it folds an event that is decided there', 'domain/rental.ts', 'projections/invoices.ts'],
  ])('%s: %s leads to %s', (way, from, to) => expect(ways[way]?.(from, to)).toBe(true))

  test('a file that nothing leads to is found, and one that does not exist', () => {
    expect(lost(['gateway/graphql/rentals.ts', 'contracts/deploy.ts'])).toEqual(['contracts/deploy.ts'])
    expect(lost(['processes/nothing.ts'])).toEqual(['processes/nothing.ts'])
  })
})
