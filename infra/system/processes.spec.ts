import { spawn } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { ageMs, allPids, isAlive, ownIdentity, parseStat, readProcess, readProcessFile } from './processes.ts'

const stat = (name: string, state = 'S') =>
  `4415 (${name}) ${state} 4409 4410 2676 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 154860 3133440 415 18446744073709551615 1`

test.each(['cat', 'a b', 'a) S 1 2 3', '((', ''])('the program name %j does not hide the fields', (name) =>
  expect(parseStat(stat(name))).toMatchObject({
    pid: 4415,
    parent: 4409,
    session: 2676,
    startTime: 154860,
    over: false,
  }),
)

test.each([
  ['Z', true],
  ['X', true],
  ['R', false],
  ['D', false],
])('state %s: over is %s', (state, over) => expect(parseStat(stat('cat', state))?.over).toBe(over))

test.each(['', '12', '12 (sh', '12 (sh) S 1'])('%j is no process', (text) => expect(parseStat(text)).toBeUndefined())

test('this process is among all processes and has its parent', () => {
  const own = readProcess(process.pid)
  expect(own).toMatchObject({ pid: process.pid, parent: process.ppid, over: false })
  expect(allPids()).toContain(process.pid)
})

const noPid = 4194305 // above all that Linux gives

test('a process that has ended has no files', () =>
  expect([readProcessFile(noPid, 'stat'), readProcess(noPid)]).toEqual(['', undefined]))

test('a process lives with its own pid, start time and boot only', () => {
  const own = ownIdentity()
  expect(isAlive(own)).toBe(true)
  expect(isAlive({ ...own, pid: noPid })).toBe(false)
  expect(isAlive({ ...own, startTime: own.startTime + 1 })).toBe(false)
  expect(isAlive({ ...own, bootId: 'another' })).toBe(false)
})

test('the age of a process is how long it has run', async () => {
  const began = performance.now()
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  const spawned = performance.now()
  const startTime = readProcess(child.pid ?? 0)?.startTime ?? 0
  await setTimeout(200)
  const before = performance.now()
  const age = ageMs({ startTime })
  // The kernel counts in hundredths of a second.
  expect(age).toBeGreaterThan(before - spawned - 20)
  expect(age).toBeLessThan(performance.now() - began + 20)
  expect(Math.abs(ageMs(ownIdentity()) - process.uptime() * 1000)).toBeLessThan(10)
  child.kill('SIGKILL')
})
