// Every program of package.json, called with options that it does not take.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { type Ended, runNode } from './children.ts'
import { readFiles } from './tidy/source-tree.ts'

const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
const files = Object.entries(scripts).flatMap(([script, command]) => {
  const file = /\bnode (?:--\S+ )*(\S+\.ts)$/.exec(command)?.[1]
  return file === undefined ? [] : [{ script, file }]
})
const msMax = 240_000

/** Resolves to the answers in the order of the questions, few at a time. */
const askAll = async <Question, Answer>(questions: readonly Question[], ask: (one: Question) => Promise<Answer>) => {
  const waiting = questions.map((question, index) => ({ question, index }))
  const answers: Answer[] = []
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      answers[next.index] = await ask(next.question)
  }
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work))
  return answers
}

const refusalComplaints = (called: string, { code, errors, output }: Ended): string[] => [
  ...(code === 0 ? [`${called} ends with 0`] : []),
  ...(/^\s*INPUT_INVALID: /.test(errors) ? [] : [`${called} does not begin with INPUT_INVALID: ${errors}`]),
  ...(/^\s+at /m.test(errors) ? [`${called} prints a stack`] : []),
  ...(output === '' ? [] : [`${called} prints ${output}`]),
]

/** Returns the rows of the usage whose text does not begin below that of the row before. Rows end at an empty line. */
const alignmentComplaints = (script: string, usage: string): string[] => {
  const begin = (line: string) => /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length
  const lines = usage.split('\n')
  return lines.flatMap((line, index) => {
    const [above, here] = [begin(lines[index - 1] ?? ''), begin(line)]
    return above === undefined || here === undefined || above === here ? [] : [`${script}: "${line}" is not aligned`]
  })
}

test('no tool prints a number before a plural that is always the same', () => {
  const plural = /\$\{[^{}]*\} (events|rows|files|streams|offers|lines|deposits|blocks)\b/g
  const found = [...readFiles(join(import.meta.dirname, '..'))]
    .filter(([path]) => /^cli\/.*\.ts$/.test(path) && !/\.(spec|testing)\.ts$/.test(path))
    .flatMap(([path, text]) => [...text.matchAll(plural)].map(([what]) => `${path} has ${what}: counted(…)`))
  expect(found).toEqual([])
})

test.each([
  ['cli/import.ts', ['analysis']],
  ['cli/import.ts', ['package.json', '--key', 'analysis']],
  ['cli/tour.ts', ['--offers', 'analysis']],
  ['cli/replay.ts', ['analysis']],
  ['testing/chaos.ts', ['--eventstore', 'analysis']],
])('%s %j names a folder as one', async (file, given) => {
  const { code, errors } = await runNode([file, ...given])
  expect(code).not.toBe(0)
  expect(errors).toContain('it is a folder')
  expect(errors).not.toMatch(/^\s+at |INTERNAL/m)
})

test('programs are found', () => expect(files.length).toBeGreaterThan(10))

test(
  'each tells its options, in rows, and refuses others and options without their value',
  async () => {
    const usages = await askAll(files, ({ file }) => runNode([file, '--help']))
    const complaints = files.flatMap(({ script }, index) => {
      const { code, output = '', errors = '' } = usages[index] ?? {}
      return [
        ...(code === 0 && errors === '' ? [] : [`${script} --help fails`]),
        ...alignmentComplaints(script, output),
      ]
    })
    const wrong = files.flatMap(({ file }, index) => {
      const option = /^ +(--[a-z-]+) [A-Z]/m.exec(usages[index]?.output ?? '')?.[1]
      return [[file, '--nonsens', 'x'], ...(option ? [[file, option]] : [])]
    })
    const ended = await askAll(wrong, runNode)
    expect(wrong.length).toBeGreaterThan(files.length + 5)
    expect([
      ...complaints,
      ...wrong.flatMap((given, index) => {
        const one = ended[index]
        return one ? refusalComplaints(given.join(' '), one) : []
      }),
    ]).toEqual([])
  },
  msMax,
)
