// Version 2 with its controllers, as folders of plain files: what the platform decides by them. Few machines of the tests
// have it.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openUnified } from './delegation.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'neuralmesh-delegation-'))
})
afterEach(() => rmSync(root, { recursive: true }))

type Files = { readonly procs?: string; readonly controllers?: string; readonly subtree_control?: string }
const makeGroup = (path: string, { procs = '', controllers = 'cpu memory pids', subtree_control = '' }: Files) => {
  const folder = join(root, path)
  mkdirSync(folder)
  const files = { procs, controllers, subtree_control, type: 'domain' }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `cgroup.${name}`), `${text}\n`)
  return folder
}
const wordsIn = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8')
/** Started by the kernel itself: no relative of any program. */
const kernelThread = '2'

test('a group that gives its controllers already is used as it is', async () => {
  const own = makeGroup('unit', { procs: String(process.pid), subtree_control: 'memory pids' })
  expect(await openUnified(own)).toEqual({ folder: own })
})

test('from the group of the platform itself, those of attempts are made beside it', async () => {
  const unit = makeGroup('unit', { subtree_control: 'cpu memory pids' })
  expect(await openUnified(makeGroup('unit/platform', { controllers: '' }))).toEqual({ folder: unit })
})

test('a group without any controllers is used without them', async () => {
  const own = makeGroup('unit', { procs: String(process.pid), controllers: '' })
  expect(await openUnified(own)).toEqual({ folder: own })
})

test('a group with processes of others is left as it is', async () => {
  const own = makeGroup('unit', { procs: `${process.pid}\n${kernelThread}` })
  expect(await openUnified(own)).toEqual({ folder: own, reason: expect.stringContaining('other processes') })
  expect(existsSync(join(own, 'platform'))).toBe(false)
  expect(wordsIn(own, 'cgroup.subtree_control')).toBe('\n')
})

test('a group without processes is asked for its controllers', async () => {
  const own = makeGroup('unit', {})
  // A plain file holds what was written last, and gives nothing.
  expect(await openUnified(own)).toEqual({ folder: own, reason: expect.stringContaining('memory and pids') })
  expect(wordsIn(own, 'cgroup.subtree_control')).toContain('+pids')
})
