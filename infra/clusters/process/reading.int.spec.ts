// Plants everything that a job could put in the place of a small file of its attempt, where nothing keeps it out.
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { outputBytes, readOutput } from './folder.ts'
import { readLaunch, readOutcome, readProcess, readVerdict } from './reading.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-reading-'))
})
afterEach(() => rm(folder, { recursive: true }))

const plants: Readonly<Record<string, (path: string) => unknown>> = {
  'a link to a device that never ends': (path) => symlink('/dev/zero', path),
  'a link to a secret': async (path) => {
    await writeFile(join(folder, 'secret'), '{"ended":"stopped"}')
    await symlink(join(folder, 'secret'), path)
  },
  'a link to itself': (path) => symlink(path, path),
  'a pipe that nobody writes to': (path) => execFileSync('mkfifo', [path]),
  'a folder': (path) => mkdir(path),
  'a huge file': async (path) => {
    await writeFile(path, '')
    await truncate(path, 64 * 1024 ** 3)
  },
}

describe.each(Object.keys(plants))('%s', (what) => {
  test.each(['verdict.json', 'process.json', 'missing', 'exit', 'spec.json', 'output.log'])('as %s', async (name) => {
    await plants[what]?.(join(folder, name))
    const began = performance.now()
    expect(await readVerdict(folder)).toBeUndefined()
    expect(await readProcess(folder)).toBeUndefined()
    expect(await readOutcome(folder)).toEqual({ ended: 'lost' })
    expect(await readLaunch(folder)).toBeUndefined()
    const huge = what === 'a huge file' && name === 'output.log'
    expect((await readOutput(folder, 0, 1000)).length).toBe(huge ? 1000 : 0)
    expect(await outputBytes(folder)).toBe(huge ? 64 * 1024 ** 3 : 0)
    expect(performance.now() - began).toBeLessThan(15_000)
  })
})

test('whatever text stands in them, the outcome is one that can be stored', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom('verdict.json', 'missing', 'exit'),
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.string({ unit: 'binary', maxLength: 300 }).map((text) => `program ${text}`),
        fc.json(),
        fc
          .record({ ended: fc.constantFrom('exited', 'failed', 'stopped', 'lost', 'x'), code: fc.string() })
          .chain((value) => fc.anything().map((more) => JSON.stringify({ ...value, exitCode: more, message: more }))),
      ),
      async (name, text) => {
        await writeFile(join(folder, name), text)
        const outcome = await readOutcome(folder)
        await rm(join(folder, name))
        if (outcome.ended === 'exited') expect(outcome.exitCode).toBeLessThan(1000)
        if (outcome.ended !== 'failed') return
        expect(outcome.message.length).toBeLessThan(600)
        expect(outcome.message.isWellFormed()).toBe(true)
        expect(outcome.message).not.toMatch(/\p{Cc}/u)
        expect(outcome.code).toMatch(/^JOB_/)
      },
    ),
    { numRuns: 500 },
  ))
