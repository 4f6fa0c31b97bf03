// docs/limits.md, printed from the registered bounds.
import { posix } from 'node:path'
import { type Bound, registeredBounds } from '../infra/async/bounded.ts'
import { isTest } from '../testing/tidy/source-tree.ts'
import { files, root } from './docs.testing.ts'

/** Returns the files of the product that register a bound. */
export const registering = (): readonly string[] =>
  [...files].flatMap(([path, text]) =>
    path.endsWith('.ts') && !isTest(path) && /^const \w+ = registerBound\(\{/m.test(text) ? [path] : [],
  )

/** Loads the files that register a bound. Resolves to each bound with its file. */
export const loadBounds = async (): Promise<readonly (readonly [Bound, string])[]> => {
  const found: (readonly [Bound, string])[] = []
  for (const path of registering()) {
    const before = new Set(registeredBounds())
    await import(posix.join(root, path))
    const text = files.get(path) ?? ''
    for (const bound of registeredBounds())
      if (!before.has(bound) && text.includes(`'${bound.name}'`)) found.push([bound, path])
  }
  return found.toSorted(([a], [b]) => (a.name < b.name ? -1 : 1))
}

const mebibyte = 1024 * 1024
const number = (value: number): string => value.toLocaleString('en')
const bytesOf = (bytes: number): string =>
  bytes % mebibyte === 0 ? `${number(bytes / mebibyte)} MiB` : `${number(bytes)} bytes`

const sizesOf = ({ entriesMax, bytesMax }: Bound): string =>
  [
    ...(entriesMax === undefined ? [] : [`${number(entriesMax)} entries`]),
    ...(bytesMax === undefined ? [] : [bytesOf(bytesMax)]),
  ].join(', ')

const introduction = `# Limits

What strangers send has a bound where it enters, and what grows with them in memory has one where it is kept.

## What grows in memory

Everything in the memory of a process that grows with what strangers do is made by \`createBoundedMap\`
(\`infra/async/bounded.ts\`), from a bound that is registered under a name. A bound in bytes counts about what an entry
takes; a cache keeps its newest entry even where that alone is heavier. \`testing/tidy/growing.spec.ts\` finds maps, sets
and lists that grow beside it, and names what bounds each of those instead.

This table is printed from the registered bounds: \`UPDATE=1 npm test -- docs/limits.spec.ts\` writes it, and the same test
fails when it differs.
`

/** Returns the page. */
export const limitsPage = (bounds: readonly (readonly [Bound, string])[]): string =>
  [
    introduction,
    '| name | holds | at most | when full | file |',
    '|---|---|---|---|---|',
    ...bounds.map(
      ([bound, path]) => `| ${bound.name} | ${bound.holds} | ${sizesOf(bound)} | ${bound.whenFull} | \`${path}\` |`,
    ),
    '',
  ].join('\n')
