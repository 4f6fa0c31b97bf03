import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { allPids } from '../../system/processes.ts'
import { killProcesses } from './end.ts'
import { KILL_USER, killUser } from './kill-user.ts'
import { findUidRange } from './uids.ts'

const range = process.getuid?.() === 0 ? await findUidRange() : undefined
const user = (range?.first ?? 0) + 2
const testAsRoot = range ? test : test.skip

/** Starts a program of a user, and resolves once it runs. */
const start = async (uid: number): Promise<ChildProcess> => {
  const words = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'sh', '-c', 'trap "" TERM; echo; exec sleep 60']
  const child = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  return child
}

/** Ends programs, and resolves once they are over. */
const end = async (children: readonly ChildProcess[]): Promise<void> => {
  const over = Promise.all(children.map((child) => once(child, 'exit')))
  for (const child of children) child.kill('SIGKILL')
  await over
}
const ends = (children: readonly ChildProcess[]) => children.map(({ exitCode, signalCode }) => exitCode ?? signalCode)

testAsRoot('all processes of a user end, and none of another one', async () => {
  const [own, others] = [
    await Promise.all([start(user), start(user)]),
    await Promise.all([start(0), start(user - 1), start(user + 2), start(65_534)]),
  ]
  const ended = Promise.all(own.map((child) => once(child, 'exit')))
  expect(await killUser(user)).toBeUndefined()
  expect((await ended).map(([, signal]) => signal)).toEqual(['SIGKILL', 'SIGKILL'])
  expect(ends(others)).toEqual([null, null, null, null])
  await end(others)
})

testAsRoot.each([1, 39_999, Number.NaN])('no process of a user who is no job’s ends: %s', async (uid) => {
  const own = await Promise.all([start(0), start(39_999)])
  expect(await killUser(uid)).toMatch(/ended with 1/)
  expect(ends(own)).toEqual([null, null])
  await end(own)
})

test('an attempt whose user cannot be killed has not ended, and what watches over it is left alone', async () => {
  const wrapper = spawn('sleep', ['60'], { stdio: 'ignore' })
  const find = async () => (wrapper.pid === undefined ? [] : [wrapper.pid])
  const refused = (seen: () => Promise<number[]>) =>
    expect(killProcesses(seen, { uid: 1 })).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
  await Promise.all([refused(find), refused(async () => [])])
  expect(wrapper.exitCode ?? wrapper.signalCode).toBe(null)
  wrapper.kill('SIGKILL')
})

testAsRoot('where a user cannot be killed as one, those of its processes that were found end', async () => {
  const [own, other] = [await start(39_999), await start(0)]
  const find = async () => [own, other].flatMap(({ pid = 0 }) => pid)
  const ended = once(own, 'exit')
  await expect(killProcesses(find, { uid: 39_999 })).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
  expect((await ended)[1]).toBe('SIGKILL')
  expect(ends([other])).toEqual([null])
  await end([other])
})

/** Returns how many processes that kill a user run just now. */
const countKillers = (): number =>
  allPids().filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
      return line.includes('seteuid') && /^(setpriv|\/proc\/self\/fd\/\d)\0/.test(line)
    } catch {
      return false
    }
  }).length

/** Resolves to how many of them ran at the same time at most, until all of these ends have come. */
const mostKillers = async (ended: Promise<unknown>): Promise<number> => {
  let [most, isOver] = [0, false]
  const over = ended.finally(() => {
    isOver = true
  })
  while (!isOver) {
    most = Math.max(most, countKillers())
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await over
  return most
}

const users = Array.from({ length: 24 }, (_, index) => user + 2 * index)

testAsRoot('however many users are killed at once, the program starts two of these processes at a time', async () => {
  const own = await Promise.all(users.map(start))
  const most = await mostKillers(Promise.all(users.map(killUser)))
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(2)
  await Promise.all(own.map((child) => child.signalCode ?? once(child, 'exit')))
  expect(new Set(ends(own))).toEqual(new Set(['SIGKILL']))
})

testAsRoot('of all shells with the same folder one kills at a time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'neuralmesh-kill-'))
  const own = await Promise.all(users.map(start))
  const script = `exec 9< ${process.execPath}\n${KILL_USER}\nkill_user "$1" "$2"`
  const shells = users.map((uid) => spawn('sh', ['-c', script, 'sh', String(uid), folder], { stdio: 'ignore' }))
  const most = await mostKillers(Promise.all(shells.map((shell) => once(shell, 'exit'))))
  expect(most).toBe(1)
  expect(new Set(ends(shells))).toEqual(new Set([0]))
  await Promise.all(own.map((child) => child.signalCode ?? once(child, 'exit')))
  rmdirSync(folder)
})
