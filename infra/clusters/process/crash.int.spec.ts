import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { readProcesses } from '../../../testing/processes.ts'
import { currentBootId, isAlive, type ProcessIdentity, readProcess } from '../../system/processes.ts'
import { jobSpec, recorder, shellJob } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { folderOf, graceMs, kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { claimFolder, passVerdict } from './folder.ts'
import { type Launch, readOutcome } from './reading.ts'
import { type WrapperOptions, wrapperCommand } from './wrapper.ts'

const unwalled = (spec: JobSpec): Launch => ({ spec, kind: 'none', uid: undefined, endsAtMs: undefined })
const wrapperOf = (folder: string): WrapperOptions => ({
  ...{ folder, kind: 'none', uid: undefined, prefix: [], outputBytesMax: 1 << 20 },
  ...{ seconds: 60, graceSeconds: 1, verdict: { ended: 'stopped' } },
})

describe('however the launch was cut off, the command runs once', () => {
  let root: string
  beforeEach(async () => {
    root = await makeRoot()
  })
  afterEach(() => rm(root, { recursive: true }))

  const echoOnce = shellJob('echo ran')

  /** Launches, and expects that the command runs, or ran, to its end, and only once. */
  const expectOneRun = async (spec: JobSpec) => {
    const [cluster, watcher] = [processCluster({ root, graceMs, trust: 'own' }), recorder()]
    const outcome = await cluster.launch(spec, watcher)
    expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
    expect((await cluster.readLog(spec, 0, 1000)).text).toBe('ran\n')
    await cluster.close({ stopJobs: true })
    return outcome
  }

  test('killed at any moment', async () => {
    for (const afterMs of [0, 2, 5, 10, 15, 20, 30, 50]) {
      const spec = shellJob('echo ran')
      const other = await launchElsewhere(root, spec, 'launching')
      await pause(afterMs)
      await kill(other)
      await expectOneRun(spec)
    }
    expect(await readdir(join(root, '.staging'))).toEqual([])
  })

  test('killed before the claim: what it left is removed', async () => {
    const left = join(root, '.staging', '4194305-left') // a process number above all that Linux gives
    await mkdir(left, { recursive: true })
    expect(await expectOneRun(echoOnce)).toBe('launched')
    await expect(stat(left)).rejects.toThrow('ENOENT')
  })

  test('killed between the claim and the start', async () => {
    await claimFolder(root, unwalled(echoOnce))
    expect(await expectOneRun(echoOnce)).toBe('launched')
  })

  test('killed after the start, before the first process wrote its file: several compete, one runs', async () => {
    const spec = shellJob('echo ran >> $HOME/ran; sleep 0.2')
    await claimFolder(root, unwalled(spec))
    const folder = folderOf(root, spec)
    const { file, args, env } = wrapperCommand(wrapperOf(folder))
    const rivals = Array.from({ length: 6 }, () => spawn(file, args, { cwd: folder, env, stdio: 'ignore' }))
    const ends = rivals.map((rival) => once(rival, 'exit'))
    const [cluster, watcher] = [processCluster({ root, graceMs, trust: 'own' }), recorder()]
    await cluster.launch(spec, watcher)
    expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
    await Promise.all(ends)
    await cluster.close({ stopJobs: true })
    expect(await readFile(join(folder, 'work', 'ran'), 'utf8')).toBe('ran\n')
    expect((await readdir(folder)).filter((name) => name.startsWith('process.'))).toEqual(['process.json'])
  })

  test('killed for good: at the timeout all ends, what lies between its shells too', async () => {
    const script = "trap '' TERM; sh -c 'while :; do sleep 1; done' & wait"
    const spec = shellJob(script, { timeoutSeconds: 1, graceSeconds: 1 })
    await kill(await launchElsewhere(root, spec, 'started', 'none'))
    await eventually('nothing of it runs', async () => (await runningOf(root, spec)).length === 0)
    expect(await readOutcome(folderOf(root, spec))).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
  })

  test('stopped before it started: it never does', async () => {
    await claimFolder(root, unwalled(echoOnce))
    await passVerdict(folderOf(root, echoOnce), { ended: 'stopped' })
    const { file, args, env } = wrapperCommand(wrapperOf(folderOf(root, echoOnce)))
    await once(spawn(file, args, { env, stdio: 'ignore' }), 'exit')
    const [cluster, watcher] = [processCluster({ root, graceMs, trust: 'own' }), recorder()]
    await cluster.launch(echoOnce, watcher)
    expect(await watcher.end).toEqual({ ended: 'stopped' })
    expect(await readdir(folderOf(root, echoOnce))).not.toContain('missing')
    await cluster.close({ stopJobs: true })
  })
})

describe('a process file that names a process of another program', () => {
  let root: string
  let other: ChildProcess
  beforeEach(async () => {
    root = await makeRoot()
    // It has its own session and a child, as a job has.
    other = spawn('sh', ['-c', 'sleep 60; :'], { detached: true, stdio: 'ignore' })
    await eventually('its child runs', () => readProcesses().some(({ parent }) => parent === other.pid))
  })
  afterEach(async () => {
    process.kill(-(other.pid ?? 0), 'SIGKILL')
    await rm(root, { recursive: true })
  })

  const expectLost = async (change: (identity: ProcessIdentity) => ProcessIdentity) => {
    const entry = readProcess(other.pid ?? 0)
    const identity = { pid: other.pid ?? 0, startTime: entry?.startTime ?? 0, bootId: currentBootId() }
    expect(isAlive(identity)).toBe(true)
    const spec = jobSpec()
    await claimFolder(root, unwalled(spec))
    await writeFile(join(folderOf(root, spec), 'process.json'), JSON.stringify(change(identity)))
    const [cluster, watcher] = [processCluster({ root, graceMs, trust: 'own' }), recorder()]
    expect(await cluster.list()).toEqual([{ jobId: spec.jobId, attempt: 1, running: false }])
    expect(await cluster.launch(spec, watcher)).toBe('adopted')
    expect(await watcher.end).toEqual({ ended: 'lost' })
    await cluster.stop(spec)
    await cluster.close({ stopJobs: true })
    expect(isAlive(identity)).toBe(true)
    expect(readProcesses().some(({ parent, over }) => parent === other.pid && !over)).toBe(true)
  }

  test('its pid was given out again: the job is lost, the other process lives', () =>
    expectLost((identity) => ({ ...identity, startTime: identity.startTime - 1 })))

  test('the machine was started again: the job is lost, the other process lives', () =>
    expectLost((identity) => ({ ...identity, bootId: 'another boot' })))
})
