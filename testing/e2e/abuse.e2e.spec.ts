// A part of each attack of npm run abuse, for its promises: how fast the machine is does not matter here.
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Row } from '../abuse.ts'
import { runNode } from '../children.ts'
import { processesNaming } from '../processes.ts'

/** The temporary folder of the runs. */
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-abuse-'))
  await chmod(folder, 0o755)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const runAbuse = async (options: readonly string[], onOutput?: Parameters<typeof runNode>[2]) => {
  const { code, output, errors } = await runNode(
    ['testing/abuse.ts', '--json', ...options],
    { TMPDIR: folder },
    onOutput,
  )
  const rows = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Row] : []))
  return { code, rows, errors }
}

const nothingIsLeft = async () => {
  expect(await processesNaming(folder)).toEqual([])
  expect(await readdir(folder)).toEqual([])
}

test('each attack is refused, others are served meanwhile, and nothing is left', async () => {
  const { output } = await runNode(['testing/abuse.ts', '--list'])
  const { code, rows, errors } = await runAbuse(['--short'])
  expect(errors).toBe('')
  expect(rows.filter(({ complaints }) => complaints.length > 0)).toEqual([])
  expect(rows.map(({ name }) => name)).toEqual(output.trim().split('\n'))
  expect(code).toBe(0)
  await nothingIsLeft()
}, 240_000)

test('a limit that does not hold is a complaint, and exit code 1', async () => {
  const { code, rows } = await runAbuse(['--only', 'cheats', '--rss-mib', '10', '--health-ms', '0.001'])
  // The attack is short: /health may not have been asked meanwhile.
  expect(rows.map(({ complaints }) => complaints[0])).toEqual(['memory is beyond its limit'])
  expect(rows[0]?.rssBytes).toBeGreaterThan(10 * 1024 * 1024)
  expect(code).toBe(1)
}, 120_000)

test('Ctrl-C in the middle ends the platform and leaves nothing', async () => {
  let pressed = false
  const { code, rows } = await runAbuse(['--short'], (_output, interrupt) => {
    if (!pressed) interrupt()
    pressed = true
  })
  expect(code).toBe(130)
  expect(rows.length).toBeLessThan(5)
  await nothingIsLeft()
}, 120_000)

test('what is asked for wrongly is refused, and the way to the names is shown', async () => {
  const { code, output, errors } = await runNode(['testing/abuse.ts', '--only', 'no such attack'])
  expect({ code, output }).toEqual({ code: 2, output: '' })
  expect(errors).toMatch(/^INPUT_INVALID: .*no such attack.*--list/)
})
