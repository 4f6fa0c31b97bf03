// Compares the pages with the project: links, paths, names, commands and lists in them are those of the code.
// testing/e2e/docs.e2e.spec.ts runs their snippets.
import { writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { type ErrorCode, errors } from '../domain/errors.ts'
import { settings } from '../infra/config.ts'
import { blocksOf, files, type Page, pages, proseOf, root, spansOf } from './docs.testing.ts'

type Rule = (page: Page) => string[]

const folders = new Set(
  [...files.keys()].flatMap((path) =>
    path
      .split('/')
      .slice(0, -1)
      .map((_, depth, parts) => parts.slice(0, depth + 1).join('/')),
  ),
)
const isThere = (path: string) => files.has(path) || folders.has(path.replace(/\/$/, ''))
const code = [...files].filter(([path]) => !path.endsWith('.md') && !path.startsWith('docs/'))
const isNamedInCode = (name: string) => code.some(([, text]) => text.includes(name))

/** Returns the anchor that GitHub gives a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
const anchorsOf = (page: Page) =>
  proseOf(page).flatMap((line) => (/^#+ /.test(line) ? anchorOf(line.replace(/^#+ /, '')) : []))

const linkComplaints: Rule = (page) =>
  proseOf(page).flatMap((text, index) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
      if (/^https?:/.test(target)) return []
      const [path = '', anchor] = target.split('#')
      const to = path === '' ? page.path : posix.join(posix.dirname(page.path), path)
      const there = to === page.path ? page : { path: to, text: files.get(to) ?? '' }
      if (to !== page.path && !isThere(to)) return [`${page.path}:${index + 1} links to ${to}, which is not there`]
      if (anchor === undefined || anchorsOf(there).includes(anchor)) return []
      return [`${page.path}:${index + 1} links to ${to}#${anchor}, and there is no such heading`]
    }),
  )

const looksLikePath = /^\.?[\w@-][\w.@-]*(\/[\w.@-]+)*\/?$/
const fileEndings = /\.(ts|md|json|sol|csv|graphql|yml|mjs)$/
/** Returns whether a name is no path of the repository. The reader writes the first file, a start creates the folder,
 *  an export the last file; `x.table.ts` stands for any such name. */
const isNoPath = (text: string) =>
  ['renter.ts', '.data/', 'USDC/6', 'manifest.json'].includes(text) || /^x[./]/.test(text)

const pathComplaints: Rule = (page) =>
  spansOf(page)
    .filter(({ text }) => looksLikePath.test(text) && (text.includes('/') || fileEndings.test(text)))
    .filter(({ text }) => !isNoPath(text) && !text.startsWith('DATA_DIR/') && !isThere(text))
    .map(({ page, line, text }) => `${page}:${line} names ${text}, which is not there`)

/** Matches names of the code: `rentGpu`, `RentalEnded`, `LISTING_FULL`, `log.events`. */
const looksLikeName = /^(?=.*[a-z0-9][A-Z]|.*[_.])[A-Za-z]\w+(\.\w+)*$/

const nameComplaints: Rule = (page) =>
  spansOf(page)
    .filter(({ text }) => looksLikeName.test(text) && !fileEndings.test(text) && !isNamedInCode(text))
    .map(({ page, line, text }) => `${page}:${line} names ${text}, which nothing in the code does`)

const scripts: Readonly<Record<string, string>> = JSON.parse(files.get('package.json') ?? '{}').scripts
const otherPrograms = /^(git|cd|curl|cp|tar|kill|docker|sudo)$/

/** Returns what is wrong with one command of a shell block, the settings before it included. */
const commandComplaint = (command: string): string | undefined => {
  const words = command.trim().split(/\s+/)
  const settingsEnd = words.findIndex((word) => !/^[A-Z_]+=/.test(word))
  const names = words.slice(0, settingsEnd).map((word) => word.slice(0, word.indexOf('=')))
  const unknown = names.find((name) => !(name in settings.shape) && !isNamedInCode(`process.env.${name}`))
  if (unknown) return `sets ${unknown}, which nothing reads`
  const [program = '', ...given] = words.slice(settingsEnd)
  const dashes = given.indexOf('--')
  const paths = given.filter(
    (word) => looksLikePath.test(word) && fileEndings.test(word) && !/^[a-z-]+\.csv$/.test(word),
  )
  const missing = paths.find((path) => !isThere(path))
  if (missing) return `names ${missing}, which is not there`
  if (program === 'npx' && given[0] === 'node') return undefined
  if (program !== 'npm') return otherPrograms.test(program) || isThere(program) ? undefined : `calls ${program}`
  const [first = '', second = ''] = given.filter((word) => word !== '-s')
  if (first === 'ci') return undefined
  const script = first === 'run' ? second : first
  if (!(script in scripts)) return `calls the script ${script}, which package.json does not have`
  const own = files.get(/node (?:--\S+ )*(\S+\.ts)$/.exec(scripts[script] ?? '')?.[1] ?? '') ?? ''
  const source = own.includes("'./tool.ts'") ? `${own}${files.get('cli/tool.ts')}` : own
  const options = dashes < 0 ? [] : given.slice(dashes + 1).filter((word) => /^--[a-z]/.test(word))
  const unknownOption = options.find((option) => source !== '' && !new RegExp(`\\b${option.slice(2)}'?:`).test(source))
  return unknownOption && `gives ${script} the option ${unknownOption}, which it does not take`
}

const shellComplaints: Rule = (page) =>
  blocksOf(page)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ line, text }) =>
      text
        .replaceAll('\\\n', ' ')
        .split('\n')
        .map((shown) => shown.replace(/(^|\s)#.*$/, ''))
        .flatMap((shown) => shown.split(/&&|\|/))
        .filter((command) => command.trim() !== '')
        .flatMap((command) => commandComplaint(command) ?? [])
        .map((complaint) => `${page.path}:${line} ${complaint}`),
    )

/** The setting that takes an address with this scheme. */
const settingByScheme = { esdb: 'EVENTSTORE_URL', kurrentdb: 'EVENTSTORE_URL', postgres: 'DATABASE_URL' } as const
const isSetting = (name: string): name is keyof typeof settings.shape => Object.hasOwn(settings.shape, name)

/** Returns the values and addresses on a page that the setting they are for does not take. */
const valueComplaints: Rule = (page) =>
  page.text.split('\n').flatMap((text, index) => {
    const assigned = [...text.matchAll(/\b([A-Z][A-Z_]{2,40})=([^\s`"'|…]+)(?!…)\b/g)].map(([, name = '', value]) => [
      name,
      value,
    ])
    const addresses = [...text.matchAll(/\b(esdb|kurrentdb|postgres)(?:\+discover)?:\/\/[^\s`"'|…]+/g)].map(
      ([value, scheme]) => [settingByScheme[scheme as keyof typeof settingByScheme], value],
    )
    return [...assigned, ...addresses].flatMap(([name = '', value]) => {
      if (!isSetting(name) || settings.shape[name].safeParse(value).success) return []
      return [`${page.path}:${index + 1} shows ${name}=${value}, which it does not take`]
    })
  })

/** A block without a language would never be run, and that would go unnoticed. */
const languages = ['graphql', 'sh', 'sql', 'ts', 'text', 'mermaid']
const languageComplaints: Rule = (page) =>
  blocksOf(page)
    .filter(({ language }) => !languages.includes(language))
    .map(
      ({ line, language }) => `${page.path}:${line} is a block in "${language}": take one of ${languages.join(', ')}`,
    )

/** Returns the registry of errors as a page, under the headings of its comments. */
const errorsPage = (): string => {
  const lines = [
    '# Every code, and what to do',
    '',
    'Every refusal and every failure of the platform has a code. The meaning of a published code never changes; its message',
    'and hint may improve. The registry is `domain/errors.ts`, and this page is generated from it',
    '(`UPDATE=1 npm test -- docs/docs.spec.ts` writes it, and the same test fails when they differ).',
    '',
    'A refused mutation returns its `Refused` member, with `code`, `message`, `hint` and `details`. A query that fails has the',
    'same in the `extensions` of its error. A platform that cannot start prints code, message, details and hint in one line:',
    '[when it does not start](operating.md#when-it-does-not-start).',
  ]
  for (const [, name] of (files.get('domain/errors.ts') ?? '').matchAll(/^ {2}\.\.\.(\w+)Errors,$/gm)) {
    const group = files.get(`domain/errors/${name}.ts`) ?? ''
    const title = /^\/\*\* Refusals and failures: (.+)\. \*\/$/m.exec(group)?.[1] ?? ''
    lines.push('', `## ${title.slice(0, 1).toUpperCase()}${title.slice(1)}`, '')
    lines.push('| code | message | what to do |', '|---|---|---|')
    for (const [, code] of group.matchAll(/^ {2}([A-Z_]+): \{/gm)) {
      const { message, hint } = errors[code as ErrorCode]
      lines.push(`| \`${code}\` | ${message} | ${hint} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

describe.each(pages.map((page) => [page.path, page] as const))('%s', (_path, page) => {
  test.each([
    ['its links have targets', linkComplaints],
    ['its files and folders exist', pathComplaints],
    ['its names are names of the code', nameComplaints],
    ['its commands exist', shellComplaints],
    ['its settings and addresses are taken', valueComplaints],
    ['its blocks have a language', languageComplaints],
  ])('%s', (_what, rule) => expect(rule(page)).toEqual([]))
})

test('README.md links to every page', () =>
  expect(
    pages.map(({ path }) => path).filter((path) => path !== 'README.md' && !pages[0]?.text.includes(`(${path})`)),
  ).toEqual([]))

test('README.md lists the folders of the project, neither more nor less', () => {
  const rows = proseOf(pages[0] as Page).flatMap((line) => /^\| \[?`([\w.]+)\/`/.exec(line)?.[1] ?? [])
  expect(rows.toSorted()).toEqual([...folders].filter((folder) => !folder.includes('/')).toSorted())
})

test('the chapters of the tour in README.md are those that it prints', () => {
  const shown = blocksOf(pages[0] as Page)
    .flatMap(({ language, text }) => (language === 'text' ? [...text.matchAll(/^\d+\. (.+)$/gm)] : []))
    .map(([, title = '']) => title.replace('cli/tour/offers.csv', `$${'{file}'}`))
  const source = `${files.get('cli/tour.ts')}${files.get('cli/tour/story.ts')}`
  expect(shown).toHaveLength(source.split('.chapter(').length - 1)
  expect(shown.filter((title) => !source.includes(title))).toEqual([])
})

test('docs/errors.md is the registry of errors (UPDATE=1 writes it)', () => {
  if (process.env.UPDATE === '1') writeFileSync(posix.join(root, 'docs/errors.md'), errorsPage())
  const written = process.env.UPDATE === '1' ? errorsPage() : files.get('docs/errors.md')
  expect(written).toBe(errorsPage())
  expect(Object.keys(errors).filter((code) => !written?.includes(`| \`${code}\` |`))).toEqual([])
})

describe('a wrong page is found', () => {
  test.each([
    [linkComplaints, '[here](nowhere.md)', 'links to docs/nowhere.md'],
    [linkComplaints, '# A title\n[here](#another)', 'no such heading'],
    [pathComplaints, 'see `domain/nothing.ts`', 'names domain/nothing.ts'],
    [nameComplaints, '`RentalForgotten`', 'names RentalForgotten'],
    [shellComplaints, '```sh\nnpm run circus\n```', 'the script circus'],
    [shellComplaints, '```sh\nnpm run tour -- --loud\n```', 'the option --loud'],
    [shellComplaints, '```sh\nNO_SUCH_SETTING=1 npm start\n```', 'sets NO_SUCH_SETTING'],
    [shellComplaints, '```sh\nnpm test -- domain/nothing.spec.ts\n```', 'names domain/nothing.spec.ts'],
    [valueComplaints, 'with `PORT=many`', 'shows PORT=many'],
    [valueComplaints, 'at `esdb://a:b`', 'shows EVENTSTORE_URL=esdb://a:b'],
    [languageComplaints, '```\nx\n```', 'is a block in ""'],
  ])('%p: %s', (rule, text, complaint) => {
    const found = rule({ path: 'docs/wrong.md', text })
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(complaint)
  })

  test('and a right one is not', () => {
    const text =
      '# A title\n[here](#a-title) `domain/rental.ts` `RentalEnded`\n```sh\nPORT=0 npm run tour -- --json # now\n```'
    for (const rule of [linkComplaints, pathComplaints, nameComplaints, shellComplaints, languageComplaints])
      expect(rule({ path: 'docs/right.md', text })).toEqual([])
  })
})
