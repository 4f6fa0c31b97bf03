import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
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
afterEach(() => promisify(execFile)('rm', ['-rf', folder]), 120_000)

/** Runs a script that changes files again and again. Returns what ends it with the program that it runs just then, which
 *  would go on otherwise. */
const keepRunning = (script: string, ...folders: readonly string[]): (() => Promise<unknown>) => {
  const child = spawn('sh', ['-c', script, 'sh', ...folders], { stdio: 'ignore', detached: true })
  const ended = once(child, 'exit')
  return () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    return ended
  }
}

test('one folder with 200,000 names holds up neither the loop nor the memory', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, join(folder, 'many'), '200000'])
  const { use, gapMs, grownMib } = JSON.parse(stdout) as DiskReport
  expect(use.trouble).toBeUndefined()
  expect(gapMs).toBeLessThan(500)
  expect(grownMib).toBeLessThan(32)
}, 120_000)

test('what cannot be told is trouble: too many folders beside each other, or too deep ones', async () => {
  const beside = join(folder, 'beside')
  const script = 'mkdir "$1" && cd "$1" && seq 50002 | xargs mkdir'
  await promisify(execFile)('sh', ['-c', script, 'sh', beside])
  expect((await measureDisk([beside], {})).trouble).toMatch(/folders beside/)
  const deep = join(folder, ...Array.from({ length: 202 }, () => 'd'))
  await mkdir(deep, { recursive: true })
  expect((await measureDisk([join(folder, 'd')], {})).trouble).toMatch(/200 deep/)
}, 120_000)

test('it counts the blocks of all files, and ends early at the limit or when it is stopped', async () => {
  for (const name of ['a', 'b/c']) {
    await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, name, 'file'), Buffer.alloc(1_000_000, 1))
  }
  const { bytes } = await measureDisk([folder, join(folder, 'missing')], {})
  expect(bytes).toBeGreaterThanOrEqual(2_000_000)
  expect((await measureDisk([folder], { bytesMax: 500_000 })).bytes).toBeLessThan(bytes)
  expect(await measureDisk([folder], { bytesMax: bytes }, AbortSignal.abort())).toMatchObject({ bytes: 0, cut: true })
  await rm(join(folder, 'a'), { recursive: true })
  expect((await measureDisk([folder], { bytesMax: bytes })).bytes).toBeLessThan(bytes)
})

test('a file that vanishes during the look hides no other one', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(folder, name), Buffer.alloc(1_000_000, 1))
  const script = 'cd "$1"; while :; do for i in 1 2 3 4 5 6 7 8 9; do : > y$i; done; rm -f y*; done'
  const end = keepRunning(script, folder)
  try {
    for (let times = 0; times < 300; times++)
      expect((await measureDisk([folder], {})).bytes).toBeGreaterThanOrEqual(4_000_000)
  } finally {
    await end()
  }
}, 60_000)

test.each([
  ['the folder above all others', 'mv d0 x; mv x d0'],
  [
    'folders on every level',
    'mv d0 x; mv x d0; mv d0/d1 d0/x; mv d0/x d0/d1; mv d0/d1/d2/d3 d0/d1/d2/x; mv d0/d1/d2/x d0/d1/d2/d3',
  ],
  ['from one folder to another', 'mv d0 e0/x; mv e0/x d0'],
])(
  'folders that move while they are measured hide no files: %s',
  async (_, moves) => {
    const [top, names] = [join(folder, 'top'), Array.from({ length: 20 }, (_, index) => `d${index}`)]
    await mkdir(join(top, ...names), { recursive: true })
    await mkdir(join(top, 'e0'))
    const many = 'cd "$1" && seq 1000 | xargs touch'
    await promisify(execFile)('sh', ['-c', many, 'sh', join(top, ...names)])
    const end = keepRunning(`cd "$1"; while :; do ${moves}; done`, top)
    try {
      const looks: boolean[] = []
      for (let times = 0; times < 60; times++) looks.push((await measureDisk([top], {})).files > 1_000)
      // One that is moved from what is still to be read to what was read is missed, now and then.
      expect(looks.filter((seen) => !seen).length).toBeLessThan(20)
    } finally {
      await end()
    }
  },
  60_000,
)

test('a folder that cannot be read is trouble', async () => {
  await mkdir(join(folder, 'a'))
  await chmod(join(folder, 'a'), 0)
  const asRoot = process.getuid?.() === 0
  if (asRoot) process.seteuid?.(65_534)
  try {
    expect((await measureDisk([folder], {})).trouble).toMatch(/cannot be read/)
  } finally {
    if (asRoot) process.seteuid?.(0)
  }
})

test('a machine without descriptors or memory is an error, and no trouble of the job', async () => {
  await mkdir(join(folder, ...Array.from({ length: 100 }, () => 'd')), { recursive: true })
  const script = `import { measureDisk } from ${JSON.stringify(join(import.meta.dirname, 'disk.ts'))}
    console.log(await measureDisk([process.argv[1]], {}).then(JSON.stringify, ({ code }) => code))`
  const words = ['--nofile=80', process.execPath, '--input-type=module', '-e', script, folder]
  const { stdout } = await promisify(execFile)('prlimit', words)
  expect(stdout).toBe('EMFILE\n')
})

test('a folder that comes and goes is never an error', async () => {
  await mkdir(join(folder, 'a', 'b'), { recursive: true })
  const end = keepRunning('cd "$1"; while :; do chmod 0 a/b; chmod 700 a/b; rmdir a/b; mkdir a/b; done', folder)
  try {
    for (let times = 0; times < 300; times++) expect((await measureDisk([folder], {})).bytes).toBeGreaterThan(0)
  } finally {
    await end()
  }
}, 60_000)

test('whatever bytes names have, files count and so do those in folders', async () => {
  const odd = (...bytes: number[]) => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(bytes)])
  await mkdir(odd(0xff, 0x41))
  await writeFile(Buffer.concat([odd(0xff, 0x41), Buffer.from('/large')]), Buffer.alloc(1_000_000, 1))
  await writeFile(odd(0xc3), Buffer.alloc(1_000_000, 1))
  expect((await measureDisk([folder], {})).bytes).toBeGreaterThanOrEqual(2_000_000)
})

test('more files than allowed are trouble, and none is counted behind a link that takes the place of a folder', async () => {
  for (const name of ['a', 'b', 'c']) await writeFile(join(folder, name), '')
  expect(await measureDisk([folder], { filesMax: 3 })).toMatchObject({ files: 3 })
  expect((await measureDisk([folder], { filesMax: 2 })).trouble).toMatch(/more than 2 files/)
  const [mine, other] = [join(folder, 'mine'), join(folder, 'other')]
  for (const path of [join(mine, 'd', 'e'), join(other, 'e')]) await mkdir(path, { recursive: true })
  await writeFile(join(other, 'e', 'large'), Buffer.alloc(1_000_000, 1))
  const script = 'cd "$1"; ln -s "$2" l; while :; do mv -T d k; mv -T l d; mv -T d l; mv -T k d; done 2> /dev/null'
  const end = keepRunning(script, mine, other)
  try {
    for (let times = 0; times < 500; times++) expect((await measureDisk([mine], {})).bytes).toBeLessThan(1_000_000)
  } finally {
    await end()
  }
}, 60_000)
