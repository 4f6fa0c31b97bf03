// What to run before a commit: types, lint and unit tests, all at once: npm run check. `.ci/run` checks everything.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readHelp } from '../infra/system/arguments.ts'
import { printReport, reportOf } from '../infra/system/report.ts'

/** One command of the check, by the name under which it is reported. */
export type Part = { readonly name: string; readonly command: readonly string[] }

const parts: readonly Part[] = [
  { name: 'types', command: ['npm', 'run', '--silent', 'types'] },
  { name: 'lint', command: ['npm', 'run', '--silent', 'lint'] },
  { name: 'unit', command: ['npm', 'run', '--silent', 'test', '--', '--selectProjects', 'unit'] },
]

const usage = `npm run check
  Runs the types, the lint and the unit tests at the same time, and prints a line for each. It takes no options.`

const secondsSince = (began: number): string => `${((performance.now() - began) / 1000).toFixed(1)} s`

/** Runs the parts at the same time and writes one line for each when it has ended. The output of a part follows its
 *  line when it failed. Resolves to the names of those that failed. */
export const runParts = async (chosen: readonly Part[], write: (text: string) => void): Promise<readonly string[]> => {
  const width = Math.max(...chosen.map(({ name }) => name.length))
  const failed: string[] = []
  await Promise.all(
    chosen.map(async ({ name, command: [program = '', ...options] }) => {
      const began = performance.now()
      const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (text: Buffer) => {
          output += String(text)
        })
      const [code, signal] = await once(child, 'close')
      write(`${name.padEnd(width)}  ${code === 0 ? 'ok' : `FAILED (${code ?? signal})`}  ${secondsSince(began)}\n`)
      if (code === 0) return
      failed.push(name)
      write(`\n${output.trimEnd()}\n\n`)
    }),
  )
  return failed
}

const run = async (): Promise<void> => {
  if (readHelp('no options')) return console.log(usage)
  const began = performance.now()
  const failed = await runParts(parts, (text) => process.stdout.write(text))
  const count = `${parts.length - failed.length} passed, ${failed.length} failed`
  console.log(`\n${count}${failed.length > 0 ? `: ${failed.join(', ')}` : ''} (${secondsSince(began)})`)
  process.exitCode = failed.length > 0 ? 1 : 0
}

if (import.meta.main)
  run().catch((error) => {
    printReport(reportOf(error))
    process.exitCode = 1
  })
