import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, link, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { giveTree } from './owner.ts'

const ifRoot = process.getuid?.() === 0 ? test : test.skip
const [owner, attacker] = [44_001, 44_002]

let base: string
let outside: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'neuralmesh-owner-'))
  await chmod(base, 0o755)
  outside = join(base, 'outside')
  await mkdir(join(outside, 'd'), { recursive: true })
  for (const path of [join(outside, 'f'), join(outside, 'd', 'f')]) await writeFile(path, '')
})
afterEach(() => rm(base, { recursive: true }))

const ownersOutside = async () => {
  const paths = [outside, join(outside, 'f'), join(outside, 'd'), join(outside, 'd', 'f')]
  return Promise.all(paths.map(async (path) => (await lstat(path)).uid))
}

ifRoot('whatever the tree holds, nothing outside it changes its owner (only root may give files away)', async () => {
  const entry = fc.record({
    folder: fc.constantFrom('', 'a', 'a/b'),
    name: fc.constantFrom('x', 'y', 'z'),
    kind: fc.constantFrom('file', 'folder', 'link to a file', 'link to a folder', 'link to itself'),
  })
  let trees = 0
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async (entries) => {
      trees += 1
      const tree = join(base, `tree-${trees}`)
      await mkdir(join(tree, 'a', 'b'), { recursive: true })
      for (const { folder, name, kind } of entries) {
        const path = join(tree, folder, name)
        const target = kind === 'link to a file' ? join(outside, 'f') : kind === 'link to itself' ? path : outside
        const made =
          kind === 'file'
            ? writeFile(path, '', { flag: 'wx' })
            : kind === 'folder'
              ? mkdir(path)
              : symlink(target, path)
        await made.catch(() => undefined)
      }
      await giveTree(tree, owner, owner)
      expect((await lstat(join(tree, 'a', 'b'))).uid).toBe(owner)
      expect(await ownersOutside()).toEqual([0, 0, 0, 0])
    }),
    { numRuns: 30 },
  )
})

ifRoot('a file with a second name is refused (only root may give files away)', async () => {
  const tree = join(base, 'tree')
  await mkdir(tree)
  await link(join(outside, 'f'), join(tree, 'f'))
  await expect(giveTree(tree, owner, owner)).rejects.toThrow('has 2 names')
  expect(await ownersOutside()).toEqual([0, 0, 0, 0])
})

ifRoot('nor while another user swaps folders for links (only root may give files away)', async () => {
  const tree = join(base, 'tree')
  await mkdir(join(tree, 'swapped', 'd'), { recursive: true })
  await writeFile(join(tree, 'swapped', 'd', 'f'), '')
  const stop = join(base, 'stop')
  const turn = `mv swapped aside; ln -s ${outside} swapped; rm swapped; mv aside swapped`
  const swap = `while [ ! -e ${stop} ]; do ${turn}; done 2> /dev/null`
  await giveTree(tree, attacker, attacker)
  const child = spawn('/bin/sh', ['-c', swap], { cwd: tree, uid: attacker, gid: attacker, stdio: 'ignore' })
  try {
    for (let round = 0; round < 150; round++) {
      // Back to the attacker each time, so that it can go on; what it swaps away meanwhile is no failure.
      await giveTree(tree, owner, owner)
      await giveTree(tree, attacker, attacker)
    }
  } finally {
    // It ends by itself: a shell that is killed leaves the program that it waits for, and that still moves things about.
    const ended = once(child, 'exit')
    await writeFile(stop, '')
    await ended
  }
  expect(await ownersOutside()).toEqual([0, 0, 0, 0])
})
