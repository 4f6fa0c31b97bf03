import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from '@jest/globals'
import { killProcesses } from './end.ts'
import { killUser } from './kill-user.ts'
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
