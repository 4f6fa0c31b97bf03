/** Damages each file of an attempt in each way, with its processes alive and gone: a full disk, a power cut and an operator
 *  do so. Whatever is left, the job gets an end or runs on, and never twice. */
import { lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { processesNaming } from '../../../testing/processes.ts'
import { sleep } from '../../async/sleep.ts'
import { errorCode } from '../../system/errors.ts'
import { jobSpec, recorder } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { folderOf, graceMs, makeRoot } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { clusterIdOf } from './cluster-id.ts'
import { killProcesses } from './end.ts'

const names = [
  ...['spec.json', 'program', 'output', 'output.log', 'process.json', 'missing', 'exit', 'exit.draft'],
  ...['verdict.json', 'verdict.late', 'verdict.room', 'groups.json', 'work', 'tmp', 'jail', '.'],
]
const ways = ['absent', 'empty', 'cut', 'other', 'folder', 'of another job'] as const
type Way = (typeof ways)[number]

const textOf = async (path: string): Promise<string> => {
  const isFile = (await lstat(path).catch(() => undefined))?.isFile()
  return isFile ? readFile(path, 'utf8') : ''
}

const damage = async (path: string, way: Way, same: string): Promise<void> => {
  const text = way === 'of another job' ? await textOf(same) : await textOf(path)
  await rm(path, { recursive: true, force: true })
  if (way === 'folder') await mkdir(path)
  else if (way === 'other') await writeFile(path, '{"pid":1,"ended":"never"}')
  else if (way === 'empty') await writeFile(path, '')
  else if (way !== 'absent') await writeFile(path, way === 'cut' ? text.slice(0, text.length / 2) : text)
}

const settleMs = 300

let root = ''
beforeEach(async () => {
  root = await makeRoot()
})
const pidsNaming = async (text: string) => (await processesNaming(text)).map(({ pid }) => pid)
afterEach(async () => {
  await killProcesses(() => pidsNaming(root))
  await rm(root, { recursive: true })
})

/** Returns a job whose command alone has this number on its command line. */
const sleeper = (number: number): JobSpec => jobSpec({ command: ['sleep', `86400.${number}`] })
/** Resolves to the processes of the commands of these jobs, in their order. */
const readRunning = async (jobs: readonly JobSpec[]): Promise<number[][]> => {
  const sleeping = await processesNaming('86400.')
  return jobs.map(({ command }) => sleeping.filter((one) => one.command === command.join(' ')).map(({ pid }) => pid))
}

describe.each([undefined, 'none'] as const)('behind the walls %s', (only) => {
  const open = () => processCluster({ root, graceMs, trust: 'own', ...(only && { only }) })
  const tried = only ? (['absent', 'empty', 'of another job'] as const) : ways
  const kinds = tried.flatMap((way) => [true, false].map((alive) => ({ way, alive })))

  test.each(kinds)(
    'a file that is $way, processes alive: $alive',
    async ({ way, alive }) => {
      const began = open()
      const seed = Math.floor(performance.now() * 1000)
      const jobs = names.map((_, index) => sleeper(seed + index))
      const other = sleeper(seed + names.length)
      await Promise.all([...jobs, other].map((spec) => began.launch(spec, recorder())))
      const runs = async () => (await readRunning([...jobs, other])).every(({ length }) => length === 1)
      await eventually('all of them run', runs)
      const before = await readRunning(jobs)
      await began.close({ stopJobs: false })
      const otherPids = await pidsNaming(folderOf(root, other))
      if (!alive) await killProcesses(async () => (await pidsNaming(root)).filter((pid) => !otherPids.includes(pid)))
      for (const [index, name] of names.entries())
        await damage(join(folderOf(root, jobs[index] ?? other), name), way, join(folderOf(root, other), name))

      const cluster = open()
      const watchers = jobs.map(() => recorder())
      const launches = jobs.map((spec, index) => cluster.launch(spec, watchers[index] ?? recorder()))
      const outcomes = await Promise.allSettled(launches)
      const refused = outcomes.map(({ status }) => status === 'rejected')
      const isOver = (index: number) =>
        refused[index] || watchers[index]?.calls.some((call) => typeof call === 'object')
      await eventually('each one has ended or runs', async () => {
        const running = await readRunning(jobs)
        return jobs.every((_, index) => isOver(index) || running[index]?.length === 1)
      })
      await sleep(settleMs)
      for (const [index, name] of names.entries()) {
        const outcome = outcomes[index]
        // A job that waits for its cluster would wait forever.
        if (outcome?.status === 'rejected')
          expect({ name, code: errorCode(outcome.reason) }).not.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
        const hasEnded = isOver(index)
        const pids = (await readRunning(jobs))[index] ?? []
        // What ended has no process, before the next attempt begins; what runs on is what ran.
        if (hasEnded) expect({ name, pids }).toEqual({ name, pids: [] })
        else if (alive && name !== '.') expect(before[index]).toEqual(expect.arrayContaining(pids))
        else expect(pids.length).toBeLessThanOrEqual(1)
      }
      await Promise.all(jobs.map((spec) => cluster.stop(spec)))
      expect((await readRunning(jobs)).flat()).toEqual([])
      for (const [index, name] of names.entries()) {
        if (refused[index]) continue
        const end = await watchers[index]?.end
        const message = end && 'message' in end ? end.message : ''
        expect({ name, message }).toEqual({ name, message: expect.not.stringContaining('/') })
      }
      expect((await readRunning([other])).flat()).toHaveLength(1)
      await cluster.stop(other)
      await cluster.close({ stopJobs: true })
      expect(await pidsNaming(root)).toEqual([])
    },
    60_000,
  )
})

test('the file of the name of the cluster is refused when it is damaged, and never made anew', async () => {
  const id = await clusterIdOf(root)
  for (const text of ['', id.slice(0, 4), 'something else', '\0'.repeat(9)]) {
    await writeFile(join(root, '.cluster'), text)
    const details = { file: join(root, '.cluster'), fix: expect.stringContaining('backup') }
    await expect(clusterIdOf(root)).rejects.toMatchObject({ code: 'KEY_FILE_INVALID', details })
  }
  await rm(join(root, '.cluster'))
  await mkdir(join(root, '.cluster'))
  await expect(clusterIdOf(root)).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' })
  await rm(join(root, '.cluster'), { recursive: true })
  const made = await Promise.all([1, 2, 3, 4].map(() => clusterIdOf(root)))
  expect(new Set(made).size).toBe(1)
})
