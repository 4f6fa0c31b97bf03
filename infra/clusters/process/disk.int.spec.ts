import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { DiskReport } from '../../../testing/programs/disk.ts'
import { makeRoot } from '../process.testing.ts'
import { measureDisk } from './disk.ts'

const program = join(import.meta.dirname, '../../../testing/programs/disk.ts')
let folder = ''
beforeEach(async () => {
  folder = await makeRoot()
})
// Another process removes them: so many files would hold up the loop.
afterEach(() => promisify(execFile)('rm', ['-rf', folder]))

test('one folder with 200,000 names holds up neither the loop nor the memory', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, join(folder, 'many'), '200000'])
  const { use, gapMs, grownMib } = JSON.parse(stdout) as DiskReport
  expect(use.trouble).toBeUndefined()
  expect(gapMs).toBeLessThan(150)
  expect(grownMib).toBeLessThan(32)
}, 120_000)

test('what cannot be told is trouble: too many folders beside each other, or too deep ones', async () => {
  const beside = join(folder, 'beside')
  const script = 'mkdir "$1" && cd "$1" && seq 50002 | xargs mkdir'
  await promisify(execFile)('sh', ['-c', script, 'sh', beside])
  expect((await measureDisk([beside], Number.MAX_SAFE_INTEGER)).trouble).toMatch(/folders beside/)
  const deep = join(folder, ...Array.from({ length: 202 }, () => 'd'))
  await mkdir(deep, { recursive: true })
  expect((await measureDisk([join(folder, 'd')], Number.MAX_SAFE_INTEGER)).trouble).toMatch(/200 deep/)
}, 120_000)

test('it counts the blocks of all files, and ends early at the limit or when it is stopped', async () => {
  for (const name of ['a', 'b/c']) {
    await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, name, 'file'), Buffer.alloc(1_000_000, 1))
  }
  const { bytes } = await measureDisk([folder, join(folder, 'missing')], Number.MAX_SAFE_INTEGER)
  expect(bytes).toBeGreaterThanOrEqual(2_000_000)
  expect((await measureDisk([folder], 500_000)).bytes).toBeLessThan(bytes)
  expect(await measureDisk([folder], bytes, AbortSignal.abort())).toMatchObject({ bytes: 0, cut: true })
  await rm(join(folder, 'a'), { recursive: true })
  expect((await measureDisk([folder], bytes)).bytes).toBeLessThan(bytes)
})

test('a file that vanishes during the look hides no other one', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(folder, name), Buffer.alloc(1_000_000, 1))
  const script = 'cd "$1"; while :; do for i in 1 2 3 4 5 6 7 8 9; do : > y$i; done; rm -f y*; done'
  const churn = spawn('sh', ['-c', script, 'sh', folder], { stdio: 'ignore' })
  try {
    for (let times = 0; times < 300; times++)
      expect((await measureDisk([folder], Number.MAX_SAFE_INTEGER)).bytes).toBeGreaterThanOrEqual(4_000_000)
  } finally {
    churn.kill('SIGKILL')
    await once(churn, 'exit')
  }
}, 60_000)
