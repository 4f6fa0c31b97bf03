// The first processes of attempts among many processes with a session of their own: a job decides how many there are, and
// how long their environments.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { recorder, shellJob } from '../contract.ts'
import { folderOf, graceMs, kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { createAttempts } from './attempts.ts'
import { createTableReader, folderVariable, readProcessTable } from './table.ts'

const sessions = 40
const mebibyte = 1024 ** 2
const silent = { info() {}, warn() {} }
let root = ''
let others: ChildProcess[] = []
beforeEach(async () => {
  root = await makeRoot()
})
afterEach(async () => {
  for (const other of others) await kill(other)
  others = []
  rmSync(root, { recursive: true })
})
const attemptsOf = () => createAttempts({ root, table: createTableReader(), log: silent, graceMs })
/** Returns how much this program has read so far, in bytes. */
const readBytes = () => Number(/^rchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])

test('their environments are read once, and no more than the beginning', async () => {
  const long = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`A${index}`, 'x'.repeat(100_000)]))
  for (let made = 0; made < sessions; made++)
    others.push(spawn('sleep', ['60'], { env: { PATH: process.env.PATH, ...long }, detached: true, stdio: 'ignore' }))
  await Promise.all(others.map((other) => other.pid ?? once(other, 'spawn')))
  const spec = shellJob('sleep 60')
  await kill(await launchElsewhere(root, spec, 'started'))
  const attempts = attemptsOf()
  const looked = async () => {
    const before = readBytes()
    await attempts.endStrays(`${root}/none/1`)
    return readBytes() - before
  }
  const [first, second] = [await looked(), await looked()]
  expect(first).toBeLessThan(sessions * 0.2 * mebibyte)
  expect(second).toBeLessThan(sessions * 0.02 * mebibyte)
  const cluster = processCluster({ root, graceMs, trust: 'own' })
  expect(await cluster.launch(spec, recorder())).toBe('adopted')
  await cluster.close({ stopJobs: true })
})

test('one that was looked at before it began the program of an attempt is found', async () => {
  const spec = shellJob('true')
  const folder = folderOf(root, spec)
  const script = 'read go; exec env "$@"'
  const words = [`${folderVariable}=${folder}`, 'sh', '-c', 'sleep 60; :', 'sh', folder, '1']
  const later = spawn('sh', ['-c', script, 'other', ...words], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  others.push(later)
  const attempts = attemptsOf()
  expect((await attempts.find(folder)).first).toBeUndefined()
  later.stdin?.write('go\n')
  for (let looks = 0; looks < 100; looks++) {
    const { first } = await attempts.find(folder)
    if (first) return expect(first.pid).toBe(later.pid)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('it was not found')
})

const testAsRoot = process.getuid?.() === 0 ? test : test.skip

testAsRoot('one whose folder was removed ends with all of its user, those too that nothing else leads to', async () => {
  const spec = shellJob('(env -i setsid sleep 60 &); sleep 60')
  await kill(await launchElsewhere(root, spec, 'started', 'uid'))
  const folder = folderOf(root, spec)
  const attempts = attemptsOf()
  const { uid } = (await attempts.find(folder)).traces
  const owned = async () => (await readProcessTable()).filter((entry) => !entry.over && entry.uid() === uid)
  await eventually('a process that only its user leads to', async () => {
    const found = await runningOf(root, spec)
    return (await owned()).some(({ pid }) => !found.includes(pid))
  })
  rmSync(folder, { recursive: true })
  await attempts.endStrays(folder)
  expect(await owned()).toEqual([])
  expect(await attempts.list()).toEqual([])
})
