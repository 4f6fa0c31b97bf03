import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { type Excuses, excuse } from './excuses.ts'
import { circleComplaints, doorComplaints, floorComplaints, missingComplaints, nameComplaints } from './imports.ts'
import { type Files, parseSources, readFiles, type Source, targetOf } from './source-tree.ts'

const floorExcuses: Excuses = {
  'infra/embedded-postgres.ts → infra/keys/file.ts is an engine': 'its password lies where all secrets lie',
  'projections/database.ts → infra/postgres.ts is an engine':
    'MikroORM opens its own connections; one function decides which errors mean an unreachable database',
  'cli/export/folder.ts → infra/data-folder.ts is an engine':
    'a lock that a killed process does not keep is hard to make twice',
  'cli/tool.ts → infra/config.ts is an engine': 'a tool reads the settings as main.ts does',
  'cli/tool.ts → infra/shutdown.ts is an engine': 'a tool ends as main.ts does',
  'cli/tool.ts → infra/telemetry.ts is an engine': 'a tool logs as main.ts does',
  'cli/wallet.ts → infra/chain/dev-keys.ts is an engine': 'the tour plays with the development accounts',
  'cli/tour/story.ts → infra/chain/dev-keys.ts is an engine': 'the tour plays with the development accounts',
  'cli/import.ts → infra/chain/dev-keys.ts is an engine': 'on the embedded chain the provider is that of the tour',
  'cli/seed.ts → infra/chain/dev-keys.ts is an engine':
    'the seeded wallets are development accounts, the same each time',
}

describe('the house', () => {
  const files = readFiles(join(import.meta.dirname, '../..'))
  const sources = parseSources(files)
  test('imports go down only, and main.ts alone knows the engines', () =>
    expect(excuse(floorComplaints(sources), floorExcuses)).toEqual([]))
  test('what is imported is in the repository', () => expect(missingComplaints(files, sources)).toEqual([]))
  test('a room is entered by its door', () => expect(doorComplaints(files, sources)).toEqual([]))
  test('no file has the name of its folder, and test support ends in .testing.ts', () =>
    expect(nameComplaints(files)).toEqual([]))
  test('no files import each other in a circle', () => expect(circleComplaints(sources)).toEqual([]))
})

describe('a house in disorder is complained about', () => {
  const complain = (
    texts: Readonly<Record<string, string>>,
    rule: (files: Files, sources: readonly Source[]) => string[],
  ) => {
    const files = new Map(Object.entries(texts))
    return expect(rule(files, parseSources(files)))
  }
  const ofSources = (rule: (sources: readonly Source[]) => string[]) => (_: Files, sources: readonly Source[]) =>
    rule(sources)

  test.each([
    ['domain/a.ts', '../infra/bus/port.ts', 'is not below'],
    ['domain/a.ts', '../infra/async/b.ts', 'is not below'],
    ['domain/a.ts', 'lodash', 'is no domain'],
    ['commands/a.ts', '../projections/b.ts', 'is not below'],
    ['gateway/a.ts', '../scheduler/b.ts', 'is not below'],
    ['scheduler/placement/a.ts', '../b.ts', 'is not below'],
    ['processes/a.ts', '../infra/bus/log.ts', 'is an engine'],
    ['processes/a.ts', '../infra/postgres.ts', 'is an engine'],
    ['infra/bus/a.ts', '../chain/b.ts', 'is an engine'],
    ['infra/async/a.ts', '../telemetry.ts', 'is not below'],
    ['roles/a.ts', '../testing/b.ts', 'is for tests'],
    ['roles/a.ts', './b.testing.ts', 'is for tests'],
    ['gateway/a.ts', '../attic/b.ts', 'has no floor'],
    ['infra/bus/port.ts', './log.ts', 'is no type, and a port has nothing else'],
  ])('%s → %s %s', (path, specifier, why) => {
    const text = `import { it } from '${specifier}'`
    const to = targetOf(path, specifier) ?? specifier
    complain({ [path]: text }, ofSources(floorComplaints)).toEqual([`${path} → ${to} ${why}`])
  })

  test('but not about what is below, a port, or a type', () => {
    const texts = {
      'main.ts': "import { a } from './infra/bus/log.ts'",
      'gateway/a.ts': "import { a } from '../scheduler/placement/b.ts'\nimport type { B } from '../infra/bus/port.ts'",
      'processes/a.ts': "import { a } from '../scheduler/placement/b.ts'\nimport { b } from '../infra/async/b.ts'",
      'roles/a.ts': "import { type Log } from '../infra/telemetry.ts'\nimport { a } from '../gateway/a.ts'",
      'infra/bus/a.ts':
        "import { a } from '../postgres.ts'\nimport { b } from './b.ts'\nimport { c } from '../async/c.ts'",
      'infra/bus/log/a.ts': "import { b } from '../port.ts'",
      'gateway/a.spec.ts': "import { a } from '../main.ts'",
    }
    complain(texts, ofSources(floorComplaints)).toEqual([])
  })

  test('an import of what git ignores', () =>
    complain({ 'a.ts': "import './b.ts'; import 'c'" }, missingComplaints).toEqual([
      'a.ts → b.ts is not in the repository',
    ]))

  test('an attic, and an excuse for nothing', () => {
    complain({ 'attic/a.ts': '' }, ofSources(floorComplaints)).toEqual(['attic/a.ts has no floor'])
    expect(excuse(['a', 'b'], { a: 'why', c: 'why' })).toEqual(['b', 'needs no excuse any more: c'])
  })

  const house = { 'infra/a.ts': '', 'infra/a/b.ts': '', 'infra/a/c.ts': '', 'infra/a/d.ts': '', 'infra/a/d/e.ts': '' }
  test.each([
    ['infra/b.ts', './a/b.ts', 'infra/a'],
    ['infra/b.spec.ts', './a/b.ts', 'infra/a'],
    ['testing/b.ts', '../infra/a/b.testing.ts', 'infra/a'],
    ['gateway/b.ts', '../infra/a.testing.ts', 'infra/a'],
    ['infra/a/b.ts', './d/e.ts', 'infra/a/d'],
    ['infra/b.ts', './a/d/e.ts', 'infra/a'],
  ])('%s → %s enters a room beside its door', (path, specifier, room) =>
    complain({ ...house, [path]: `import { it } from '${specifier}'` }, doorComplaints).toEqual([
      `${path} → ${targetOf(path, specifier)} enters ${room}/ beside its door ${room}.ts`,
    ]),
  )

  test.each([
    ['infra/b.ts', './a.ts'],
    ['infra/a.ts', './a/b.ts'],
    ['infra/a/b.ts', './c.ts'],
    ['infra/a/b.ts', '../a.ts'],
    ['infra/a/b.ts', './d.ts'],
    ['infra/a.int.spec.ts', './a/b.ts'],
    ['infra/a.testing.ts', './a/b.ts'],
    ['infra/a/b.spec.ts', '../a.testing.ts'],
    ['gateway/b.spec.ts', '../infra/a.testing.ts'],
    ['gateway/b.ts', '../projections/engine/c.ts'],
    ['bench/b.ts', '../infra/a/b.ts'],
  ])('%s → %s uses a door or a shelf', (path, specifier) =>
    complain({ ...house, [path]: `import { it } from '${specifier}'` }, doorComplaints).toEqual([]),
  )

  test('names that name nothing, doors inside, and test support under other names', () =>
    complain(
      {
        'a/index.ts': '',
        'b/b.ts': '',
        'c/spec-world.ts': '',
        'c/world-harness.ts': '',
        'c/a.spec.ts': '',
        'c.ts': '',
      },
      nameComplaints,
    ).toEqual([
      'a/index.ts: name what is in it',
      'b/b.ts has the name of its folder: a door stands beside the folder',
      'c/spec-world.ts: what only tests use is called x.testing.ts',
      'c/world-harness.ts: what only tests use is called x.testing.ts',
    ]))

  test('a circle, of types too', () =>
    complain(
      {
        'a.ts': "import type { B } from './b.ts'",
        'b.ts': "import { c } from './c.ts'",
        'c.ts': "import './a.ts'",
        'd.ts': "import './a.ts'",
      },
      ofSources(circleComplaints),
    ).toEqual(['circle: a.ts → b.ts → c.ts → a.ts']))
})
